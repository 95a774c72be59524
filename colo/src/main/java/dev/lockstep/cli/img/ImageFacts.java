package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

/// What can be told about one image.
///
/// @param name what its user calls it
/// @param bytes the length of the guest's disk
/// @param allocatedBytes the space that its file takes, or -1 if nobody knows
/// @param qcow more of it, if it is a qcow2 image
public record ImageFacts(
        String name, String format, long bytes, long allocatedBytes, @Nullable QcowFacts qcow) {

    /// Looks at an image.
    ///
    /// @param forceShare others may be writing to it
    public static ImageFacts of(ImageSpec spec, boolean forceShare) throws BlockException {
        try (Holder holder = Holder.open(spec, Images.inherited(true, "writeback", forceShare))) {
            return switch (holder.format()) {
                case "qcow2" -> ofQcow(spec, holder);
                case "raw" ->
                        new ImageFacts(
                                spec.text(),
                                "raw",
                                holder.gate().size(),
                                holder.allocatedBytes(),
                                null);
                default ->
                        throw new BlockException(
                                Kind.UNSUPPORTED,
                                "%s is a %s image, which is not supported; say -f raw to take its"
                                                .formatted(spec.text(), holder.format())
                                        + " bytes as they are");
            };
        }
    }

    private static ImageFacts ofQcow(ImageSpec spec, Holder holder) throws BlockException {
        QcowFacts facts = QcowFacts.read(holder.gate());
        long bytes = facts.header().size();
        return new ImageFacts(spec.text(), "qcow2", bytes, holder.allocatedBytes(), facts);
    }

    /// The image below it, or null: as it is recorded, relative to this image's folder.
    @Nullable ImageSpec backing() {
        String recorded = qcow == null ? null : qcow.header().backingFile();
        if (recorded == null || qcow == null) {
            return null;
        }
        return new ImageSpec(fullBackingName(recorded), qcow.header().backingFormat(), false);
    }

    private String fullBackingName(String recorded) {
        return ImageName.relativeTo(name, recorded);
    }

    /// `ImageInfo`.
    ObjectNode json() {
        ObjectNode facts = Json.object();
        facts.put("filename", name);
        facts.put("format", format);
        facts.put("virtual-size", bytes);
        if (allocatedBytes >= 0) {
            facts.put("actual-size", allocatedBytes);
        }
        facts.put("dirty-flag", isDirty());
        if (qcow != null) {
            addQcow(facts, qcow);
        }
        return facts;
    }

    private void addQcow(ObjectNode facts, QcowFacts qcow) {
        Header header = qcow.header();
        facts.put("cluster-size", header.clusterBytes());
        String backing = header.backingFile();
        if (backing != null) {
            facts.put("backing-filename", backing);
            facts.put("full-backing-filename", fullBackingName(backing));
            if (header.backingFormat() != null) {
                facts.put("backing-filename-format", header.backingFormat());
            }
        }
        if (!qcow.snapshots().isEmpty()) {
            facts.set("snapshots", qcow.snapshotFacts());
        }
        ObjectNode specific = facts.putObject("format-specific");
        specific.put("type", "qcow2");
        specific.set("data", qcow.specific());
    }

    private boolean isDirty() {
        return qcow != null && qcow.header().has(Feature.DIRTY);
    }

    /// The same for people.
    String text() {
        StringBuilder text = new StringBuilder();
        line(text, "image", name);
        line(text, "file format", format);
        line(text, "virtual size", "%s (%d bytes)".formatted(Sizes.human(bytes), bytes));
        line(text, "disk size", allocatedBytes < 0 ? "unavailable" : Sizes.human(allocatedBytes));
        if (isDirty()) {
            line(text, "cleanly shut down", "no");
        }
        if (qcow == null) {
            return text.toString();
        }
        line(text, "cluster_size", Integer.toString(qcow.header().clusterBytes()));
        String backing = qcow.header().backingFile();
        if (backing != null) {
            String full = fullBackingName(backing);
            boolean same = full.equals(backing);
            line(text, "backing file", same ? backing : backing + " (actual path: " + full + ")");
            String backingFormat = qcow.header().backingFormat();
            if (backingFormat != null) {
                line(text, "backing file format", backingFormat);
            }
        }
        if (!qcow.snapshots().isEmpty()) {
            text.append(SnapshotTable.of(qcow.snapshots()));
        }
        return text.append(specificText()).toString();
    }

    /// The length of its clusters, or 0 if it has none.
    public int clusterBytes() {
        return qcow == null ? 0 : qcow.header().clusterBytes();
    }

    /// Where the state of a machine would be stored, which is beyond the disk, or 0.
    public long stateOffset() {
        if (qcow == null) {
            return 0;
        }
        Geometry geometry = qcow.header().geometry();
        return geometry.l1Entries(bytes) * geometry.l2Coverage();
    }

    /// What is specific to its format, for people.
    public String specificText() {
        return qcow == null
                ? ""
                : "Format specific information:\n" + TextOutput.of(qcow.specific(), 1);
    }

    private static void line(StringBuilder text, String name, String value) {
        text.append(name).append(": ").append(value).append('\n');
    }
}
