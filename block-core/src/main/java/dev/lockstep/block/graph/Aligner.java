package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;

/// Makes any range and any buffer fit a device that takes only whole blocks, from aligned memory if
/// it says so.
///
/// What does not fit goes through a bounce buffer, a piece at a time. A piece that covers a block
/// partly is written back with the rest of that block as it was, under an exclusive lock; whole
/// blocks are written under a shared one, since what they write must not be undone by a piece that
/// read the block before. A bounce buffer is taken before the lock, so whoever holds a lock waits
/// for no buffer.
final class Aligner implements BlockDevice {
    private static final int BOUNCE_BYTES = 256 << 10;

    /// Together 2 MiB at most, allocated when first needed.
    private static final int BOUNCE_BUFFERS_MAX = 8;

    private final BlockDevice device;
    private final Capabilities below;
    private final int block;
    private final RangeLock lock;
    private final StepObserver steps;
    private final Semaphore permits = new Semaphore(BOUNCE_BUFFERS_MAX);
    private final Queue<ByteBuffer> idle = new ConcurrentLinkedQueue<>();

    private Aligner(BlockDevice device, Capabilities below) {
        if (below.alignment() > BOUNCE_BYTES) {
            throw new IllegalArgumentException(
                    "%s has blocks of %d bytes, which is more than %d"
                            .formatted(device.description(), below.alignment(), BOUNCE_BYTES));
        }
        this.device = device;
        this.below = below;
        block = below.alignment();
        steps = StepObserver.of(device);
        lock = device instanceof SharedAlignment shared ? shared.blockLock() : new RangeLock(block);
    }

    /// Returns the device itself if everything fits it.
    static BlockDevice of(BlockDevice device) {
        Capabilities below = device.capabilities();
        return below.alignment() == 1 && !below.alignedBuffers()
                ? device
                : new Aligner(device, below);
    }

    @Override
    public String description() {
        return device.description();
    }

    @Override
    public long size() {
        return device.size();
    }

    @Override
    public Capabilities capabilities() {
        return new Capabilities(
                below.readOnly(),
                below.fua(),
                below.zero(),
                below.discard(),
                1,
                false,
                Math.max(below.preferredBlockSize(), block),
                below.sharedFlush());
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        if (fits(offset, target)) {
            device.read(offset, target);
            return;
        }
        ByteBuffer bounce = takeBounce();
        try {
            while (target.hasRemaining()) {
                int count = pieceLength(offset, target.remaining());
                long first = down(offset);
                bounce.clear().limit((int) (up(offset + count) - first));
                device.read(first, bounce);
                target.put(
                        bounce.position((int) (offset - first)).limit(bounce.position() + count));
                offset += count;
            }
        } finally {
            giveBack(bounce);
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return fits(offset, target) && device.readNow(offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        if (fits(offset, source)) {
            try (RangeLock.Hold _ = lock.shared(offset, source.remaining())) {
                device.write(offset, source, flags);
            }
            return;
        }
        ByteBuffer bounce = takeBounce();
        try {
            while (source.hasRemaining()) {
                int count = pieceLength(offset, source.remaining());
                writePiece(offset, source.slice(source.position(), count), bounce, flags);
                source.position(source.position() + count);
                offset += count;
            }
        } finally {
            giveBack(bounce);
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        if (!fits(offset, source)) {
            return false;
        }
        try (RangeLock.@Nullable Hold hold = lock.tryShared(offset, source.remaining())) {
            return hold != null && device.writeNow(offset, source);
        }
    }

    /// The whole blocks first: if the device refuses them, nothing has changed.
    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        long end = offset + length;
        long first = Math.min(up(offset), end);
        long last = Math.max(down(end), first);
        if (first < last) {
            try (RangeLock.Hold _ = lock.shared(first, last - first)) {
                device.zero(first, last - first, flags);
            }
        }
        Set<WriteFlag> durable = flags.contains(WriteFlag.FUA) ? WriteFlag.DURABLE : WriteFlag.NONE;
        writeZeroes(offset, (int) (first - offset), durable);
        writeZeroes(last, (int) (end - last), durable);
    }

    private void writeZeroes(long offset, int length, Set<WriteFlag> flags) throws BlockException {
        if (length > 0) {
            write(offset, ByteBuffer.allocate(length), flags);
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        long first = up(offset);
        long last = down(offset + length);
        if (first < last) {
            try (RangeLock.Hold _ = lock.shared(first, last - first)) {
                device.discard(first, last - first);
            }
        }
    }

    @Override
    public void flush() throws BlockException {
        device.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        long first = down(offset);
        List<Extent> clipped = new ArrayList<>();
        for (Extent extent : device.extents(first, up(offset + length) - first)) {
            long from = Math.max(offset, extent.offset());
            long to = Math.min(offset + length, extent.end());
            if (from < to) {
                clipped.add(new Extent(from, to - from, extent.kind(), extent.depth()));
            }
        }
        return clipped;
    }

    @Override
    public void close() throws BlockException {
        device.close();
    }

    /// Writes one piece; `bounce` has room for every block that it touches.
    private void writePiece(long offset, ByteBuffer piece, ByteBuffer bounce, Set<WriteFlag> flags)
            throws BlockException {
        int count = piece.remaining();
        long end = offset + count;
        long first = down(offset);
        long last = up(end);
        boolean wholeBlocks = first == offset && last == end;
        try (RangeLock.Hold _ =
                wholeBlocks
                        ? lock.shared(first, last - first)
                        : lock.exclusive(first, last - first)) {
            if (first != offset) {
                steps.before(Step.PWRITEV_RMW_HEAD);
                device.read(first, bounce.clear().limit(block));
                steps.before(Step.PWRITEV_RMW_AFTER_HEAD);
            }
            if (last != end && (last - block != first || first == offset)) {
                int lastBlock = (int) (last - block - first);
                steps.before(Step.PWRITEV_RMW_TAIL);
                device.read(last - block, bounce.clear().slice(lastBlock, block));
                steps.before(Step.PWRITEV_RMW_AFTER_TAIL);
            }
            bounce.clear().position((int) (offset - first)).put(piece);
            device.write(first, bounce.position(0).limit((int) (last - first)), flags);
        }
    }

    private boolean fits(long offset, ByteBuffer buffer) {
        boolean wholeBlocks = ((offset | buffer.remaining()) & (block - 1)) == 0;
        return wholeBlocks
                && (!below.alignedBuffers()
                        || (buffer.isDirect()
                                && buffer.alignmentOffset(buffer.position(), block) == 0));
    }

    /// How much of what remains fits a bounce buffer together with the rest of its first block.
    private int pieceLength(long offset, int remaining) {
        return Math.min(remaining, BOUNCE_BYTES - (int) (offset - down(offset)));
    }

    private long down(long offset) {
        return offset & -block;
    }

    private long up(long offset) {
        return down(offset + block - 1);
    }

    private ByteBuffer takeBounce() {
        permits.acquireUninterruptibly();
        ByteBuffer bounce = idle.poll();
        return bounce == null
                ? ByteBuffer.allocateDirect(BOUNCE_BYTES + block)
                        .alignedSlice(block)
                        .slice(0, BOUNCE_BYTES)
                : bounce;
    }

    private void giveBack(ByteBuffer bounce) {
        idle.add(bounce);
        permits.release();
    }
}
