package dev.lockstep.block.concat;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// Devices one after the other, to be read as one.
public final class Concatenation implements BlockDevice {
    /// By where each begins. An empty one gives its place to the next.
    private final TreeMap<Long, Gate> parts = new TreeMap<>();

    private final long size;

    /// All of these devices, in this order.
    public Concatenation(List<Gate> devices) {
        long end = 0;
        for (Gate device : devices) {
            parts.put(end, device);
            end += device.size();
        }
        size = end;
    }

    @Override
    public String description() {
        return "%d devices one after the other".formatted(parts.size());
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Capabilities capabilities() {
        return Capabilities.FULL.asReadOnly();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        while (target.hasRemaining()) {
            Map.Entry<Long, Gate> part = parts.floorEntry(offset);
            long from = offset - part.getKey();
            int length = (int) Math.min(target.remaining(), part.getValue().size() - from);
            part.getValue().read(from, target.limit(target.position() + length));
            target.limit(end);
            offset += length;
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        Map.Entry<Long, Gate> part = parts.floorEntry(offset);
        long start = part.getKey();
        long there = Math.min(length, part.getValue().size() - (offset - start));
        return part.getValue().extents(offset - start, there).stream()
                .map(e -> new Extent(e.offset() + start, e.length(), e.kind(), e.depth()))
                .toList();
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        throw readOnly();
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        throw readOnly();
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        throw readOnly();
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}

    private BlockException readOnly() {
        return new BlockException(Kind.READ_ONLY, description() + ": only to be read");
    }
}
