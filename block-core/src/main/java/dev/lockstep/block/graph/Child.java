package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.CompressedTarget;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.Placing;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A device together with everything the gate emulates for it. The only place where a zero becomes
/// writes, and FUA a flush.
///
/// @param device what the gate leads to
/// @param aligned takes the requests: the device itself, or what makes requests fit its alignment
/// @param size asked once, and again where the device is a [Resizable]
/// @param capabilities those of `aligned`, asked once
record Child(BlockDevice device, BlockDevice aligned, long size, Capabilities capabilities) {
    /// The largest write that stands in for a zero: big enough to be cheap a byte, small enough to
    /// keep one shared buffer.
    private static final int ZEROES_BYTES = 1 << 20;

    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(2 * ZEROES_BYTES)
                    .alignedSlice(ZEROES_BYTES)
                    .slice(0, ZEROES_BYTES)
                    .asReadOnlyBuffer();

    static Child of(BlockDevice device) {
        BlockDevice aligned = Aligner.of(device);
        return new Child(device, aligned, device.size(), aligned.capabilities());
    }

    /// The same after its length has changed.
    Child withSize(long bytes) {
        return new Child(device, aligned, bytes, capabilities);
    }

    void checkRange(String operation, long offset, long length) throws BlockException {
        if (offset < 0 || length < 0 || offset > size - length) {
            throw BlockException.at(
                    Kind.OUT_OF_RANGE,
                    device,
                    operation,
                    offset,
                    length,
                    "the device ends at 0x%x".formatted(size));
        }
    }

    void read(long offset, ByteBuffer target) throws BlockException {
        aligned.read(offset, target);
    }

    void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        aligned.write(offset, source, nativeFlags(flags));
        emulateFua(flags);
    }

    CompressedTarget.Compressed compress(long offset, ByteBuffer source) throws BlockException {
        int length = source.remaining();
        if (!(device instanceof CompressedTarget target) || target.compressedUnit() == 0) {
            throw BlockException.at(
                    Kind.UNSUPPORTED,
                    device,
                    "compressed write",
                    offset,
                    length,
                    "the device does not compress");
        }
        int unit = target.compressedUnit();
        if (offset % unit != 0 || length > unit || (length < unit && offset + length != size)) {
            throw BlockException.at(
                    Kind.INVALID,
                    device,
                    "compressed write",
                    offset,
                    length,
                    "it is not one of whole units of %d bytes".formatted(unit));
        }
        return target.compress(offset, source);
    }

    boolean place(long offset, long length) throws BlockException {
        return !(device instanceof Placing placing) || placing.place(offset, length);
    }

    boolean begins() {
        return aligned instanceof Startable;
    }

    /// Where the device cannot begin the read, awaiting it does the whole of it.
    Pending startRead(long offset, ByteBuffer target) {
        return aligned instanceof Startable startable
                ? startable.startRead(offset, target)
                : () -> read(offset, target.duplicate());
    }

    /// Where the device cannot begin the write as it is, awaiting it does the whole of it.
    Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        return honours(flags) && aligned instanceof Startable startable
                ? startable.startWrite(offset, source, flags)
                : () -> write(offset, source, flags);
    }

    Pending startZero(long offset, long length, Set<WriteFlag> flags) {
        return capabilities.zero() == Support.NATIVE
                        && length <= Startable.ZERO_BYTES_MAX
                        && honours(flags)
                        && !flags.contains(WriteFlag.FAST)
                        && aligned instanceof Startable startable
                ? startable.startZero(offset, length, flags)
                : () -> zero(offset, length, flags);
    }

    private boolean honours(Set<WriteFlag> flags) {
        return capabilities.fua() == Support.NATIVE || !flags.contains(WriteFlag.FUA);
    }

    Pending startFlush() {
        return device instanceof Startable startable ? startable.startFlush() : device::flush;
    }

    void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (capabilities.zero() == Support.NATIVE) {
            try {
                aligned.zero(offset, length, nativeFlags(flags));
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
            aligned.write(offset + done, ZEROES.slice(0, step), WriteFlag.NONE);
            done += step;
        }
        if (flags.contains(WriteFlag.FUA)) {
            device.flush();
        }
    }

    void discard(long offset, long length) throws BlockException {
        if (capabilities.discard() == Support.NATIVE && length > 0) {
            aligned.discard(offset, length);
        }
    }

    List<Extent> extents(long offset, long length) throws BlockException {
        return aligned.extents(offset, length);
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
