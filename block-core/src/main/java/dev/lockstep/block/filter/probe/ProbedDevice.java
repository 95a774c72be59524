package dev.lockstep.block.filter.probe;

import static dev.lockstep.block.filter.probe.ImageFormat.PROBE_BYTES;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Set;

/// A filter over an image that was guessed to be raw: refuses what would make its first sector look
/// like another format's.
public final class ProbedDevice extends ResizableFilter {
    /// Taken exclusively by whoever changes the first sector, from its check to its end: two
    /// harmless halves must not meet.
    private final RangeLock headLock = new RangeLock();

    /// A guard over an image.
    public ProbedDevice(Gate child) {
        super(child);
    }

    /// What changes the device.
    @FunctionalInterface
    private interface Change {
        void run() throws BlockException;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        if (offset >= PROBE_BYTES) {
            child.write(offset, source, flags);
            return;
        }
        guarded("write", offset, source.duplicate(), () -> child.write(offset, source, flags));
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return offset >= PROBE_BYTES && child.writeNow(offset, source);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (offset >= PROBE_BYTES) {
            child.zero(offset, length, flags);
            return;
        }
        guarded("zero", offset, zeroes(length), () -> child.zero(offset, length, flags));
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        if (offset >= PROBE_BYTES) {
            child.discard(offset, length);
            return;
        }
        guarded("discard", offset, zeroes(length), () -> child.discard(offset, length));
    }

    private void guarded(String operation, long offset, ByteBuffer source, Change change)
            throws BlockException {
        try (RangeLock.Hold _ = headLock.exclusive(0, PROBE_BYTES)) {
            byte[] head = new byte[(int) Math.min(PROBE_BYTES, size())];
            child.read(0, ByteBuffer.wrap(head));
            int length = source.remaining();
            int at = (int) offset;
            source.get(head, at, Math.min(length, head.length - at));
            ImageFormat format = ImageFormat.of(head);
            if (format != ImageFormat.RAW) {
                throw BlockException.at(
                        Kind.DENIED,
                        this,
                        operation,
                        offset,
                        length,
                        "it would make this raw image look like a %s image, whose format was not given"
                                .formatted(format.label()));
            }
            change.run();
        }
    }

    private static ByteBuffer zeroes(long length) {
        return ByteBuffer.allocate((int) Math.min(PROBE_BYTES, length));
    }
}
