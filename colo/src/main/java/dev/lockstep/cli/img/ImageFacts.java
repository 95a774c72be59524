package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/// What can be told about one image.
///
/// @param spec what its user calls it
/// @param bytes the length of the guest's disk
/// @param allocatedBytes the space that its file takes, or -1 if nobody knows
/// @param known more of it, if it has a format that tells more
public record ImageFacts(
        ImageSpec spec,
        String format,
        long bytes,
        long allocatedBytes,
        @Nullable FormatFacts known) {
    private static final String JSON_NAME = "json:";

    /// Longer chains exist only in hostile images: no file can be opened so often.
    private static final int CHAIN_MAX = 1024;

    /// Looks at an image.
    ///
    /// @param forceShare others may be writing to it
    public static ImageFacts of(ImageSpec spec, boolean forceShare) throws BlockException {
        try (Holder holder = Holder.open(spec, Images.inherited(true, "writeback", forceShare))) {
            return switch (holder.format()) {
                case "qcow2" -> of(spec, holder, QcowFacts.read(holder.gate()));
                case "qed" -> of(spec, holder, QedFacts.read(holder.gate()));
                case "overlay" ->
                        of(spec, holder, new OverlayFacts(DurableStore.header(holder.gate())));
                case "raw" ->
                        new ImageFacts(
                                spec, "raw", holder.gate().size(), holder.allocatedBytes(), null);
                default ->
                        throw new BlockException(
                                Kind.UNSUPPORTED,
                                "%s is a %s image, which is not supported; say -f raw to take its"
                                                .formatted(spec.text(), holder.format())
                                        + " bytes as they are");
            };
        }
    }

    private static ImageFacts of(ImageSpec spec, Holder holder, FormatFacts facts) {
        return new ImageFacts(spec, holder.format(), facts.bytes(), holder.allocatedBytes(), facts);
    }

    /// Looks at an image and all images below it.
    static List<ImageFacts> chain(ImageSpec top, boolean forceShare) throws BlockException {
        List<ImageFacts> images = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (@Nullable ImageSpec next = top; next != null; next = images.getLast().backing()) {
            if (names.contains(next.text()) || images.size() == CHAIN_MAX) {
                throw new BlockException(
                        Kind.INVALID,
                        "the backing files of %s lead back to %s"
                                .formatted(top.text(), next.text()));
            }
            images.add(of(next, forceShare));
            names.add(next.text());
        }
        return images;
    }

    /// The backing file's name as it is recorded, or null.
    @Nullable String backingFile() {
        return known == null ? null : known.backingFile();
    }

    /// The image below it, or null: as it is recorded, relative to this image's folder. A name that
    /// says its driver itself has the last word.
    @Nullable ImageSpec backing() {
        String recorded = backingFile();
        if (known == null || recorded == null) {
            return null;
        }
        String name = fullBackingName(recorded);
        String format = name.startsWith(JSON_NAME) ? null : known.backingFormat();
        return new ImageSpec(name, format, false, spec.objects());
    }

    private String fullBackingName(String recorded) {
        return ImageName.relativeTo(spec.text(), recorded);
    }

    /// What its user calls it, or the file's name if that is all that `json:` says of it.
    private String name() {
        if (!spec.text().startsWith(JSON_NAME)) {
            return spec.text();
        }
        Options tree = spec.tree();
        Options file = tree.find("file") instanceof Options child ? child : Options.EMPTY;
        boolean plain =
                tree.without("driver").without("file").isEmpty()
                        && file.without("driver").without("filename").isEmpty();
        return plain && file.find("filename") instanceof Option.Text(String path)
                ? path
                : spec.text();
    }

    /// `ImageInfo`.
    ObjectNode json() {
        ObjectNode facts = Json.object();
        facts.put("filename", name());
        facts.put("format", format);
        facts.put("virtual-size", bytes);
        if (allocatedBytes >= 0) {
            facts.put("actual-size", allocatedBytes);
        }
        facts.put("dirty-flag", known != null && known.isDirty());
        if (known != null) {
            addKnown(facts, known);
        }
        return facts;
    }

    private void addKnown(ObjectNode facts, FormatFacts known) {
        facts.put("cluster-size", known.clusterBytes());
        String backing = known.backingFile();
        if (backing != null) {
            facts.put("backing-filename", backing);
            facts.put("full-backing-filename", fullBackingName(backing));
            if (known.backingFormat() != null) {
                facts.put("backing-filename-format", known.backingFormat());
            }
        }
        if (!known.snapshots().isEmpty()) {
            facts.set("snapshots", QcowFacts.snapshotFacts(known.snapshots()));
        }
        ObjectNode specific = known.specific();
        if (specific != null) {
            facts.putObject("format-specific").put("type", format).set("data", specific);
        }
    }

    /// The same for people.
    String text() {
        StringBuilder text = new StringBuilder();
        line(text, "image", name());
        line(text, "file format", format);
        line(text, "virtual size", Sizes.human(bytes) + " (" + bytes + " bytes)");
        line(text, "disk size", allocatedBytes < 0 ? "unavailable" : Sizes.human(allocatedBytes));
        if (known == null) {
            return text.toString();
        }
        if (known.isDirty()) {
            line(text, "cleanly shut down", "no");
        }
        line(text, "cluster_size", Integer.toString(known.clusterBytes()));
        String backing = known.backingFile();
        if (backing != null) {
            String full = fullBackingName(backing);
            boolean same = full.equals(backing);
            line(text, "backing file", same ? backing : backing + " (actual path: " + full + ")");
            String backingFormat = known.backingFormat();
            if (backingFormat != null) {
                line(text, "backing file format", backingFormat);
            }
        }
        if (!known.snapshots().isEmpty()) {
            text.append(SnapshotTable.of(known.snapshots()));
        }
        return text.append(specificText()).toString();
    }

    /// The length of its clusters, or 0 if it has none.
    public int clusterBytes() {
        return known == null ? 0 : known.clusterBytes();
    }

    /// Where the state of a machine would be stored, which is beyond the disk, or 0.
    public long stateOffset() {
        return known == null ? 0 : known.stateOffset();
    }

    /// What is specific to its format, for people.
    public String specificText() {
        ObjectNode specific = known == null ? null : known.specific();
        return specific == null
                ? ""
                : "Format specific information:\n" + TextOutput.of(specific, 1);
    }

    private static void line(StringBuilder text, String name, String value) {
        text.append(name).append(": ").append(value).append('\n');
    }
}
