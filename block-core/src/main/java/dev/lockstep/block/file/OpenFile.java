package dev.lockstep.block.file;

import java.util.concurrent.atomic.AtomicLong;

/// An open descriptor, and what is true of it for as long as it is open.
///
/// @param fd the descriptor; whoever holds this closes it
/// @param block a block device; otherwise a regular file
/// @param inMemory its bytes are in memory (tmpfs, memfd), so no call on it waits for a disk
/// @param noWait a read can be told not to wait for the disk
/// @param end its length in bytes as it is known
/// @param alignment what offsets, lengths and memory must be multiples of; 1 without `O_DIRECT`
record OpenFile(
        int fd, boolean block, boolean inMemory, boolean noWait, AtomicLong end, int alignment) {
    /// What disks are counted in: a length that is no multiple is rounded up.
    private static final int SECTOR_BYTES = 512;

    /// Enough for every drive, where neither kernel nor driver says what `O_DIRECT` needs.
    private static final int DIRECT_ALIGNMENT_FALLBACK = 4096;

    static OpenFile of(int fd, boolean direct) {
        Posix.Stat stat = Posix.stat(fd);
        long fileSystem = Posix.fileSystem(fd);
        return new OpenFile(
                fd,
                stat.block(),
                stat.regular()
                        && (fileSystem == Posix.TMPFS_MAGIC || fileSystem == Posix.RAMFS_MAGIC),
                !direct && Posix.probeNoWait(fd) >= 0,
                new AtomicLong(measure(fd, stat.block())),
                direct ? directAlignment(fd, stat) : 1);
    }

    /// Its length in bytes; negative is the number of the error why that is not known.
    long length() {
        return end.get();
    }

    /// Looks again how long it is. What has become shorter keeps its length: reading what was cut
    /// off fails.
    void remeasure() {
        end.accumulateAndGet(measure(fd, block), Math::max);
    }

    private static long measure(int fd, boolean block) {
        return block ? Posix.ioctlNumber(fd, Posix.BLKGETSIZE64) : Posix.stat(fd).length();
    }

    /// The length that is served. The bytes between the two read as zeroes until one is written.
    long size() {
        long unit = unit();
        return (length() + unit - 1) & -unit;
    }

    /// What a length that is served is a multiple of.
    long unit() {
        return Math.max(SECTOR_BYTES, alignment);
    }

    private static int directAlignment(int fd, Posix.Stat stat) {
        int alignment = stat.directAlignment();
        if (alignment == 0 && stat.block()) {
            alignment = (int) Math.max(0, Posix.ioctlNumber(fd, Posix.BLKSSZGET));
        }
        return Integer.bitCount(alignment) == 1 ? alignment : DIRECT_ALIGNMENT_FALLBACK;
    }
}
