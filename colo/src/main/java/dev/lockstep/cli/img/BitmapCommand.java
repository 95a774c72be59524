package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Stack;
import java.util.concurrent.Callable;

/// `lockstep img bitmap`.
@Command(
        name = "bitmap",
        description = {
            "Change a dirty bitmap inside a qcow2 image: one action after the other, in the order in"
                    + " which they are given.",
            "",
            "'lockstep img info' tells which bitmaps an image has."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img bitmap --add disk.qcow2 since-monday",
            "  lockstep img bitmap --merge since-monday --clear disk.qcow2 all"
        })
final class BitmapCommand implements Callable<Integer> {
    /// Something to do.
    ///
    /// @param name of the option that says so
    /// @param source the other bitmap of a merge, else empty
    private record Action(String name, String source) {
        boolean is(String option) {
            return name.equals(option);
        }
    }

    /// Keeps the order of the actions, each of which may be given several times.
    private static final class InOrder implements IParameterConsumer {
        @Override
        @SuppressWarnings("JdkObsolete") // It is what picocli has.
        public void consumeParameters(Stack<String> args, ArgSpec argument, CommandSpec command) {
            OptionSpec option = (OptionSpec) argument;
            boolean merges = option.longestName().equals("--merge");
            if (merges && args.isEmpty()) {
                throw new ParameterException(
                        command.commandLine(), "--merge needs the name of a bitmap after it");
            }
            BitmapCommand bitmap = (BitmapCommand) command.userObject();
            bitmap.actions.add(new Action(option.longestName(), merges ? args.pop() : ""));
        }
    }

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    private final List<Action> actions = new ArrayList<>();

    // The actions are what InOrder makes of these.

    @Option(
            names = "--add",
            arity = "0",
            parameterConsumer = InOrder.class,
            description = "Make it; it records what is written from now on.")
    private boolean unusedAdd;

    @Option(
            names = "--remove",
            arity = "0",
            parameterConsumer = InOrder.class,
            description = "Remove it.")
    private boolean unusedRemove;

    @Option(
            names = "--clear",
            arity = "0",
            parameterConsumer = InOrder.class,
            description = "Take all marks away.")
    private boolean unusedClear;

    @Option(
            names = "--enable",
            arity = "0",
            parameterConsumer = InOrder.class,
            description = "Have it record what is written.")
    private boolean unusedEnable;

    @Option(
            names = "--disable",
            arity = "0",
            parameterConsumer = InOrder.class,
            description = "Have it record nothing.")
    private boolean unusedDisable;

    @Option(
            names = "--merge",
            paramLabel = "SOURCE",
            parameterConsumer = InOrder.class,
            description = "Mark what is marked in another bitmap.")
    private @Nullable String unusedMerge;

    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "-b", paramLabel = "FILE", description = "The image that SOURCE is in.")
    private @Nullable String sourceFile;

    @Option(names = "-F", paramLabel = "FMT", description = "The format of that image.")
    private @Nullable String sourceFormat;

    @Option(
            names = "-g",
            paramLabel = "SIZE",
            description = "With --add: how many bytes a bit stands for. Default: a cluster.")
    private @Nullable String granularity;

    @Parameters(index = "1", paramLabel = "BITMAP", description = "The bitmap's name.")
    @SuppressWarnings("NullAway.Init")
    private String name;

    @Override
    public Integer call() throws IOException {
        checkArguments();
        try (OpenImage opened = Images.openAlone(image.spec(), "writeback")) {
            Qcow2Device device = device(opened, image.name());
            if (sourceFile == null) {
                run(device, device);
                return 0;
            }
            ImageSpec source = new ImageSpec(sourceFile, sourceFormat, false, image.objects());
            try (OpenImage other =
                    Images.openAlone(source, Images.inherited(true, "writeback", false))) {
                run(device, device(other, sourceFile));
            }
        }
        return 0;
    }

    private void checkArguments() {
        require(
                !actions.isEmpty(),
                "say what to do: --add, --remove, --clear, --enable, --disable or --merge");
        require(granularity == null || has("--add"), "-g is for --add");
        require(sourceFile == null || has("--merge"), "-b is for --merge");
        require(sourceFormat == null || sourceFile != null, "-F is for -b");
    }

    private boolean has(String option) {
        return actions.stream().anyMatch(action -> action.is(option));
    }

    private void require(boolean possible, String reason) {
        if (!possible) {
            throw new ParameterException(spec.commandLine(), reason);
        }
    }

    private static Qcow2Device device(OpenImage opened, String file) throws BlockException {
        if (opened.image().bare() instanceof Qcow2Device device) {
            return device;
        }
        throw new BlockException(
                Kind.UNSUPPORTED,
                "%s is of the format %s: only qcow2 images have bitmaps inside"
                        .formatted(file, Images.format(opened.image())));
    }

    private void run(Qcow2Device device, Qcow2Device source) throws IOException {
        ImageBitmaps bitmaps = device.bitmaps();
        for (Action action : actions) {
            switch (action.name) {
                case "--add" ->
                        bitmaps.add(name, granularity == null ? 0 : Sizes.parse("-g", granularity));
                case "--remove" -> bitmaps.remove(name);
                case "--clear" -> bitmaps.clear(name);
                case "--enable" -> bitmaps.enable(name, true);
                case "--disable" -> bitmaps.enable(name, false);
                default -> bitmaps.merge(name, sourceBitmap(action, source), source.size());
            }
        }
    }

    private static PersistentBitmap sourceBitmap(Action action, Qcow2Device device)
            throws BlockException {
        PersistentBitmap found = device.bitmaps().find(action.source);
        if (found == null) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: there is no bitmap '%s'".formatted(device.description(), action.source));
        }
        return found;
    }
}
