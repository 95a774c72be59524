package dev.lockstep.block.filter.probe;

import dev.lockstep.block.overlay.MapHeader;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/// A disk image's format as its first sector tells it.
public enum ImageFormat {
    /// QEMU's, versions 2 and 3.
    QCOW2,
    /// QEMU's first.
    QCOW,
    /// QEMU's enhanced disk.
    QED,
    /// Ours: the map of an overlay over an image of any format.
    OVERLAY,
    /// VMware's, sparse or described by a text.
    VMDK,
    /// VirtualBox's.
    VDI,
    /// Hyper-V's.
    VHDX,
    /// Virtual PC's, dynamic.
    VPC,
    /// Parallels', both versions.
    PARALLELS,
    /// Linux's encrypted volumes.
    LUKS,
    /// Bochs' growing disks.
    BOCHS,
    /// Compressed loop images.
    CLOOP,
    /// Anything else.
    RAW;

    /// The marks all lie within the first sector.
    public static final int PROBE_BYTES = 512;

    private record Mark(ImageFormat format, int offset, String bytes) {
        boolean isIn(String head) {
            return head.startsWith(bytes, offset);
        }
    }

    /// The bytes of each mark as the characters of ISO 8859-1.
    private static final List<Mark> MARKS =
            List.of(
                    new Mark(QCOW, 0, "QFI\u00fb\0\0\0\u0001"),
                    new Mark(QCOW2, 0, "QFI\u00fb"),
                    new Mark(QED, 0, "QED\0"),
                    new Mark(OVERLAY, 0, MapHeader.MAGIC),
                    new Mark(VMDK, 0, "KDMV"),
                    new Mark(VMDK, 0, "COWD"),
                    new Mark(VDI, 0x40, "\u007f\u0010\u00da\u00be"),
                    new Mark(VHDX, 0, "vhdxfile"),
                    new Mark(VPC, 0, "conectix"),
                    new Mark(PARALLELS, 0, "WithoutFreeSpace"),
                    new Mark(PARALLELS, 0, "WithouFreSpacExt"),
                    new Mark(LUKS, 0, "LUKS\u00ba\u00be"),
                    new Mark(BOCHS, 0, "Bochs Virtual HD Image"),
                    new Mark(CLOOP, 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop"));

    /// A disk of VMware's that is described by a text: its version, behind comments and empty
    /// lines.
    private static final Pattern VMDK_TEXT =
            Pattern.compile("(?:#[^\\n]*\\n|[ ]*\\r?\\n)*+version=[123]\\r?\\n");

    /// The format that an image beginning with these bytes is taken for.
    public static ImageFormat of(byte[] head) {
        String text = new String(head, StandardCharsets.ISO_8859_1);
        return MARKS.stream()
                .filter(mark -> mark.isIn(text))
                .map(Mark::format)
                .findFirst()
                .orElse(VMDK_TEXT.matcher(text).lookingAt() ? VMDK : RAW);
    }

    /// The name that QEMU's tools know it by.
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
