package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;

import java.io.IOException;

/// Where the bytes of buffers live.
public interface BufferSource extends AutoCloseable {
    /// Makes room for a buffer, none of which takes space until it is written to.
    ///
    /// @param kind `active` or `hidden`
    Room create(String kind, long length) throws BlockException;

    /// Whether what lies in the buffers survives the process. Neither source of ours keeps their
    /// map, so that neither does.
    default boolean isVolatile() {
        return true;
    }

    @Override
    void close() throws IOException;

    /// The room of one buffer.
    interface Room {
        /// The room as a device, which its user closes.
        BlockDevice device();

        /// Gives the space back, after the device was closed.
        void release() throws IOException;
    }

    /// Buffers in memory, outside the Java heap.
    static BufferSource ram() {
        return new Ram();
    }

    /// Each buffer is a file without a name in memory.
    final class Ram implements BufferSource {
        private record Memory(BlockDevice device) implements Room {
            @Override
            public void release() {}
        }

        private Ram() {}

        @Override
        public Room create(String kind, long length) throws BlockException {
            return new Memory(FileDevice.inMemory(kind, length));
        }

        @Override
        public void close() {}
    }
}
