package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;
import dev.lockstep.block.raw.RawDevice;

/// The driver `blklogwrites`. The package's description has its options.
public final class BlklogwritesOpener {
    private static final long UPDATE_INTERVAL = 4096;

    private BlklogwritesOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        Edge log = options.child("log");
        long sectorBytes = options.bytes("log-sector-size", Superblock.SECTOR_BYTES_MIN);
        if (!Superblock.isSectorSize(sectorBytes)) {
            throw options.invalid(
                    "'%s' is %d: write a power of two from %d to %d"
                            .formatted(
                                    options.whole("log-sector-size"),
                                    sectorBytes,
                                    Superblock.SECTOR_BYTES_MIN,
                                    Superblock.SECTOR_BYTES_MAX));
        }
        boolean append = options.truth("log-append", false);
        if (append && options.has("log-sector-size")) {
            throw options.invalid(
                    "the log that is there has its own sector size: leave log-sector-size out");
        }
        long interval =
                options.number("log-super-update-interval", 1, Long.MAX_VALUE, UPDATE_INTERVAL);
        return () ->
                file.gate().capabilities().readOnly()
                        ? RawDevice.whole(file.gate())
                        : new BlklogwritesDevice(
                                file.gate(),
                                new WriteLog(log.gate(), (int) sectorBytes, interval, append));
    }
}
