package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

/// A child that an image may name itself, as a qcow2 image names its backing file. The options may
/// name another, or say that there is none; only the driver knows what the image says, and when it
/// opens its device it asks for the child.
public final class ImpliedEdge {
    /// What the child is to its parent.
    enum Role {
        /// The image that is read where the parent has nothing. Its format is guessed if the parent
        /// does not tell it; it is never written to. A relative name is one in the folder of the
        /// parent's file.
        BACKING("backing", "backing file", true),
        /// Where the parent keeps its guest's data: bytes without a format. A relative name is one
        /// in the current folder, as with QEMU.
        DATA("data-file", "data file", false),
        /// The same, but a relative name is one in the folder of the parent's file.
        DATA_BESIDE("data-file", "data file", true);

        private final String key;
        private final String title;
        private final boolean beside;

        Role(String key, String title, boolean beside) {
            this.key = key;
            this.title = title;
            this.beside = beside;
        }

        /// Whether what it leads to has no format.
        boolean isData() {
            return this != BACKING;
        }

        String key() {
            return key;
        }
    }

    /// What the options say.
    sealed interface Choice {}

    /// Nothing, but how the child that the image names is to be opened.
    record Completed(Options with) implements Choice {}

    /// That there is none.
    record Absent() implements Choice {}

    /// This one.
    record Given(Edge edge) implements Choice {}

    private final Role role;
    private final Choice choice;
    private final Registry.Reading reading;
    private final Inherited inherited;
    private @Nullable Opened parent;
    private String parentFile = "";
    private @Nullable Gate opened;

    /// Asks for nothing yet.
    ///
    /// @param inherited what the child does unless its options say otherwise
    ImpliedEdge(Role role, Choice choice, Registry.Reading reading, Inherited inherited) {
        this.role = role;
        this.choice = choice;
        this.reading = reading;
        this.inherited = inherited;
    }

    /// Whether the options name a child. It is open then, whatever the image says.
    public boolean isGiven() {
        return choice instanceof Given;
    }

    /// The gate to the child, or null if there is none. May be asked once, while the parent opens.
    ///
    /// @param name what the image calls it, or empty if it names none
    /// @param format the name of its format, or empty if the image does not tell it
    /// @throws BlockException if it cannot be opened, with a sentence that names parent and child
    public @Nullable Gate open(String name, String format) throws BlockException {
        return switch (choice) {
            case Given(Edge edge) -> edge.gate();
            case Absent _ -> null;
            case Completed(Options with) -> name.isEmpty() ? null : open(name, format, with);
        };
    }

    private Gate open(String name, String format, Options with) throws BlockException {
        Opened owner = parent;
        if (owner == null || opened != null) {
            throw new IllegalStateException("not while the parent is being opened, or twice");
        }
        try {
            Plan plan = reading.implied(role, parentFile, fullName(name), format, with, inherited);
            Gate made = owner.connect(plan, role == Role.BACKING || inherited.readOnly());
            opened = made;
            return made;
        } catch (BlockException e) {
            throw owner.told(
                    e,
                    "cannot open the %s '%s' of %s"
                            .formatted(
                                    role.title,
                                    name,
                                    parentFile.isEmpty() ? "the image" : parentFile));
        }
    }

    private String fullName(String name) throws BlockException {
        if (!role.beside || ImageName.isAbsolute(name)) {
            return name;
        }
        if (parentFile.isEmpty()) {
            throw new BlockException(
                    Kind.INVALID,
                    "the name is relative to the image's folder, and the image is no file: give"
                            + " '%s' with the options".formatted(role.key));
        }
        return ImageName.beside(parentFile, name);
    }

    Role role() {
        return role;
    }

    /// Where children are opened from now on.
    ///
    /// @param file the parent's file, or empty if it has none
    void attach(Opened owner, String file) {
        parent = owner;
        parentFile = file;
    }

    /// The gate to a child that the image named, or null if none was opened.
    @Nullable Gate opened() {
        return opened;
    }
}
