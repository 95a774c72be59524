package dev.lockstep.block.file;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;

import java.util.ArrayList;
import java.util.List;

/// Which parts of a file take space: looking at that, and changing it.
///
/// What the file system or the drive turns out not to support is asked for once.
final class FileSpace {
    /// The answer to one question; whoever wants more asks again. An extent is 32 bytes and costs a
    /// system call or two, so a question costs at most 128 KiB and a few milliseconds.
    private static final int EXTENTS_MAX = 4096;

    /// The unit of the kernel's cache. Where a drive is told to zero or discard whole pages, none
    /// is left to be merged with what the drive then holds.
    static final int PAGE_BYTES = 4096;

    private static final int PUNCH = Posix.FALLOC_FL_PUNCH_HOLE | Posix.FALLOC_FL_KEEP_SIZE;
    private static final int ZERO = Posix.FALLOC_FL_ZERO_RANGE | Posix.FALLOC_FL_KEEP_SIZE;

    private final BlockDevice device;
    private final OpenFile file;
    private volatile boolean canPunch = true;
    private volatile boolean canZero = true;
    private volatile boolean canDiscard = true;

    FileSpace(BlockDevice device, OpenFile file) {
        this.device = device;
        this.file = file;
    }

    /// Makes a range read as zeroes. On a block device it begins and ends with a page.
    ///
    /// @throws BlockException `UNSUPPORTED`, with nothing changed, if only writing would do it
    void zero(long offset, long length, boolean mayUnmap, boolean fast) throws BlockException {
        if (mayUnmap && canPunch) {
            int result = fallocate(PUNCH, offset, length);
            if (result == 0) {
                return;
            }
            canPunch = checkSupported(result, "zero", offset, length);
        }
        if (canZero && !(file.block() && fast)) {
            int result =
                    file.block()
                            ? Posix.ioctlRange(file.fd(), Posix.BLKZEROOUT, offset, length)
                            : fallocate(ZERO, offset, length);
            if (result == 0) {
                return;
            }
            canZero = checkSupported(result, "zero", offset, length);
        }
        throw BlockException.at(
                Kind.UNSUPPORTED, device, "zero", offset, length, "it is no faster than a write");
    }

    /// Releases the space of a range, as far as that is possible.
    void discard(long offset, long length) throws BlockException {
        if (!canDiscard) {
            return;
        }
        int result;
        if (file.block()) {
            long begin = (offset + PAGE_BYTES - 1) & -PAGE_BYTES;
            long end = (offset + length) & -PAGE_BYTES;
            result =
                    begin < end
                            ? Posix.ioctlRange(file.fd(), Posix.BLKDISCARD, begin, end - begin)
                            : 0;
        } else {
            result = fallocate(PUNCH, offset, length);
        }
        if (result < 0) {
            canDiscard = checkSupported(result, "discard", offset, length);
        }
    }

    /// Tells data from holes. A file that cannot say so is data throughout.
    List<Extent> extents(long offset, long length) {
        List<Extent> extents = new ArrayList<>();
        long end = offset + length;
        for (long position = offset; position < end && extents.size() < EXTENTS_MAX; ) {
            Extent extent = extentAt(position, end);
            extents.add(extent);
            position = extent.end();
        }
        return extents;
    }

    private Extent extentAt(long position, long end) {
        Extent allData = Extent.of(position, end - position, Extent.Kind.DATA);
        if (file.block()) {
            return allData;
        }
        long data = Posix.lseek(file.fd(), position, Posix.SEEK_DATA);
        if (Errno.ENXIO.is(data)) {
            return Extent.of(position, end - position, Extent.Kind.HOLE);
        }
        if (data > position) {
            return Extent.of(position, Math.min(data, end) - position, Extent.Kind.HOLE);
        }
        long hole = data < 0 ? data : Posix.lseek(file.fd(), position, Posix.SEEK_HOLE);
        // The rest of the last sector goes with what precedes it.
        return hole <= position || hole >= file.length()
                ? allData
                : Extent.of(position, Math.min(hole, end) - position, Extent.Kind.DATA);
    }

    private int fallocate(int mode, long offset, long length) {
        int result;
        do {
            result = Posix.fallocate(file.fd(), mode, offset, length);
        } while (Errno.EINTR.is(result));
        return result;
    }

    /// Returns false if it is unsupported, to be remembered, and fails if it is anything else.
    private boolean checkSupported(int result, String operation, long offset, long length)
            throws BlockException {
        if (Errno.isUnsupported(result)) {
            return false;
        }
        throw Errno.failure(device, operation, offset, length, result);
    }
}
