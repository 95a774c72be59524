package dev.lockstep.block.filter.preallocate;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;

/// The driver `preallocate`. The package's description has its options.
public final class PreallocateOpener {
    private static final long EXTRA_BYTES = 128 << 20;
    private static final long ALIGN_BYTES = 1 << 20;

    /// 4 PiB: sums with a file's length stay far from overflow.
    private static final long BYTES_MAX = 1L << 52;

    private PreallocateOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        long extra = options.bytes("prealloc-size", EXTRA_BYTES);
        long align = options.bytes("prealloc-align", ALIGN_BYTES);
        if (align <= 0
                || align % PreallocateDevice.SECTOR_BYTES != 0
                || align > BYTES_MAX
                || extra > BYTES_MAX) {
            throw options.invalid(
                    ("'%s' is %d and '%s' is %d: write a multiple of %d, and neither more than"
                                    + " 4 PiB")
                            .formatted(
                                    options.whole("prealloc-align"),
                                    align,
                                    options.whole("prealloc-size"),
                                    extra,
                                    PreallocateDevice.SECTOR_BYTES));
        }
        return () -> new PreallocateDevice(file.gate(), extra, align);
    }
}
