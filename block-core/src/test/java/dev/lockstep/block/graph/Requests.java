package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.memory.MemoryDevice;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A disk in memory that is told of each request before it is carried out.
interface Requests extends BlockDevice {
    MemoryDevice memory();

    /// Called once a request.
    void serve() throws BlockException;

    @Override
    default String description() {
        return "test disk";
    }

    @Override
    default long size() {
        return memory().size();
    }

    @Override
    default Capabilities capabilities() {
        return memory().capabilities();
    }

    @Override
    default void read(long offset, ByteBuffer target) throws BlockException {
        serve();
        memory().read(offset, target);
    }

    @Override
    default void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        serve();
        memory().write(offset, source, flags);
    }

    @Override
    default void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        serve();
        memory().zero(offset, length, flags);
    }

    @Override
    default void discard(long offset, long length) throws BlockException {
        serve();
        memory().discard(offset, length);
    }

    @Override
    default void flush() throws BlockException {
        serve();
    }

    @Override
    default List<Extent> extents(long offset, long length) throws BlockException {
        serve();
        return memory().extents(offset, length);
    }

    @Override
    default boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        serve();
        return memory().writeNow(offset, source);
    }

    @Override
    default void close() {}
}
