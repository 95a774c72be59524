package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A device together with everything the gate emulates for it. The only place where a zero becomes
/// writes, and FUA a flush.
///
/// @param size asked once
/// @param capabilities asked once
record Child(BlockDevice device, long size, Capabilities capabilities) {
    /// The largest write that stands in for a zero: big enough to be cheap a byte, small enough to
    /// keep one shared buffer.
    private static final int ZEROES_BYTES = 1 << 20;

    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(ZEROES_BYTES).asReadOnlyBuffer();

    static Child of(BlockDevice device) {
        return new Child(device, device.size(), device.capabilities());
    }

    /// Whether a request can reach the device as it is, without waiting.
    boolean canPass(long offset, int length) {
        return capabilities.alignment() == 1 && !capabilities.alignedBuffers() && length > 0;
    }

    void read(long offset, ByteBuffer target) throws BlockException {
        device.read(offset, target);
    }

    void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        device.write(offset, source, nativeFlags(flags));
        emulateFua(flags);
    }

    /// Where the device cannot begin the write as it is, awaiting it does the whole of it.
    Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        boolean asItIs =
                canPass(offset, source.remaining())
                        && (capabilities.fua() == Support.NATIVE || !flags.contains(WriteFlag.FUA));
        return asItIs && device instanceof Startable startable
                ? startable.startWrite(offset, source, flags)
                : () -> write(offset, source, flags);
    }

    Pending startFlush() {
        return device instanceof Startable startable ? startable.startFlush() : device::flush;
    }

    void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (capabilities.zero() == Support.NATIVE) {
            try {
                device.zero(offset, length, nativeFlags(flags));
                emulateFua(flags);
                return;
            } catch (BlockException e) {
                if (e.kind() != Kind.UNSUPPORTED || flags.contains(WriteFlag.FAST)) {
                    throw e;
                }
            }
        } else if (flags.contains(WriteFlag.FAST)) {
            throw BlockException.at(
                    Kind.UNSUPPORTED,
                    device,
                    "zero",
                    offset,
                    length,
                    "it is not faster than a write");
        }
        for (long done = 0; done < length; ) {
            int step = (int) Math.min(ZEROES_BYTES, length - done);
            device.write(offset + done, ZEROES.slice(0, step), WriteFlag.NONE);
            done += step;
        }
        if (flags.contains(WriteFlag.FUA)) {
            device.flush();
        }
    }

    void discard(long offset, long length) throws BlockException {
        if (capabilities.discard() == Support.NATIVE && length > 0) {
            device.discard(offset, length);
        }
    }

    List<Extent> extents(long offset, long length) throws BlockException {
        return device.extents(offset, length);
    }

    private Set<WriteFlag> nativeFlags(Set<WriteFlag> flags) {
        return capabilities.fua() == Support.NATIVE
                ? flags
                : WriteFlag.without(flags, WriteFlag.FUA);
    }

    private void emulateFua(Set<WriteFlag> flags) throws BlockException {
        if (capabilities.fua() != Support.NATIVE && flags.contains(WriteFlag.FUA)) {
            device.flush();
        }
    }
}
