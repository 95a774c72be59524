package dev.lockstep.block.filter.compress;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Set;

/// Writes whole units compressed.
public final class CompressDevice extends FilterDevice {
    private final Gate target;
    private final int unit;

    /// A filter above a device that compresses.
    ///
    /// @throws BlockException with `INVALID` if it does not
    public CompressDevice(Gate child) throws BlockException {
        super(child);
        target = child;
        unit = child.compressedUnit();
        if (unit == 0) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: it cannot hold compressed data: 'compress' needs a qcow2 image below it"
                            .formatted(child.description()));
        }
    }

    /// Requests of whole units are the best ones.
    @Override
    public Capabilities capabilities() {
        Capabilities below = super.capabilities();
        return new Capabilities(
                below.readOnly(),
                below.fua(),
                below.zero(),
                below.discard(),
                below.alignment(),
                below.alignedBuffers(),
                Math.max(below.preferredBlockSize(), unit),
                below.sharedFlush());
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        int end = source.limit();
        long first = (offset + unit - 1) & -unit;
        long last = offset + source.remaining();
        last = last == size() ? last : last & -unit;
        if (first >= last) {
            target.write(offset, source, flags);
            return;
        }
        source.limit(source.position() + (int) (first - offset));
        target.write(offset, source, WriteFlag.NONE);
        source.limit(source.position() + (int) (last - first));
        target.writeCompressed(first, source);
        source.limit(end);
        target.write(last, source, WriteFlag.NONE);
        if (flags.contains(WriteFlag.FUA)) {
            target.flush();
        }
    }

    /// Compressing takes too long for it.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return source.remaining() < unit
                && offset + source.remaining() < size()
                && target.writeNow(offset, source);
    }
}
