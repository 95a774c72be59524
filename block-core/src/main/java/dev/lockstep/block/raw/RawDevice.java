package dev.lockstep.block.raw;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.graph.StepObserver;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A window of another device. Whatever that can do without blocking, this can.
public final class RawDevice implements BlockDevice, Resizable {
    private final Gate file;
    private final long start;
    private final boolean whole;
    private final StepObserver observer;
    private volatile long size;

    private RawDevice(Gate file, long start, long size, boolean whole) {
        this.file = file;
        this.start = start;
        this.size = size;
        this.whole = whole;
        observer = StepObserver.below(file);
    }

    /// All of a device.
    public static RawDevice whole(Gate file) {
        return new RawDevice(file, 0, file.size(), true);
    }

    /// The part of a device from `offset` to its end.
    public static RawDevice from(Gate file, long offset) throws BlockException {
        if (offset > file.size()) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: the offset %d lies beyond the end of its %d bytes"
                            .formatted(file.description(), offset, file.size()));
        }
        return window(file, offset, file.size() - offset);
    }

    /// `size` bytes of a device from `offset` on.
    public static RawDevice window(Gate file, long offset, long size) throws BlockException {
        if (offset < 0 || size < 0 || offset > file.size() - size) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: a window of %d bytes at %d lies outside of its %d bytes"
                            .formatted(file.description(), size, offset, file.size()));
        }
        return new RawDevice(file, offset, size, false);
    }

    @Override
    public String description() {
        return file.description();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Capabilities capabilities() {
        return file.capabilities();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        observer.before(Step.READ_AIO);
        file.read(start + offset, target);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        observer.before(Step.WRITE_AIO);
        file.write(start + offset, source, flags);
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        file.zero(start + offset, length, flags);
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        file.discard(start + offset, length);
    }

    @Override
    public void flush() throws BlockException {
        file.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        List<Extent> found = file.extents(start + offset, length);
        return start == 0 ? found : found.stream().map(this::shifted).toList();
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return file.readNow(start + offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return file.writeNow(start + offset, source);
    }

    /// Only the whole of a device grows with it.
    @Override
    public long remeasure() {
        if (whole) {
            size = file.remeasure();
        }
        return size;
    }

    @Override
    public void resize(long bytes) throws BlockException {
        if (!whole) {
            throw new BlockException(
                    Kind.UNSUPPORTED, "%s: the window is fixed".formatted(description()));
        }
        file.resize(bytes);
    }

    @Override
    public void grow(long bytes) throws BlockException {
        if (!whole) {
            Resizable.super.grow(bytes);
        }
        file.grow(bytes);
        remeasure();
    }

    @Override
    public void close() {}

    private Extent shifted(Extent extent) {
        return new Extent(extent.offset() - start, extent.length(), extent.kind(), extent.depth());
    }
}
