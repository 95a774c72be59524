package dev.lockstep.block.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// The contract over a device that takes nothing but whole blocks from aligned memory.
class AlignerTest extends BlockDeviceContract {
    private static final int BLOCK = 4096;

    @Override
    protected int size() {
        return 1 << 20;
    }

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice memory = new MemoryDevice(contents.length);
        memory.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
        return new Picky(memory);
    }

    @Test
    void writers_of_one_block_through_two_gates_undo_nothing_of_each_other() throws Exception {
        long seed = Seeds.next("AlignerTest");
        Picky device = new Picky(new MemoryDevice(16 * BLOCK));
        List<Gate> gates = List.of(new Gate(device), new Gate(device));
        byte[] expected = new byte[16 * BLOCK];
        int writers = 8;
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<byte[]>> results = new ArrayList<>();
            for (int writer = 0; writer < writers; writer++) {
                int first = writer * 512;
                Gate gate = gates.get(writer % 2);
                Random random = new Random(seed + writer);
                results.add(threads.submit(() -> writeStripes(gate, first, random)));
            }
            for (int writer = 0; writer < writers; writer++) {
                byte[] stripes = results.get(writer).get();
                for (int block = 0; block < 16; block++) {
                    int at = block * BLOCK + writer * 512;
                    System.arraycopy(stripes, at, expected, at, 512);
                }
            }
        }
        byte[] found = DiskModel.read(gates.getFirst(), 0, expected.length);
        assertEquals(-1, Arrays.mismatch(expected, found));
    }

    /// Writes random bytes to one 512-byte stripe of random blocks, and returns what must be there.
    private static byte[] writeStripes(Gate gate, int first, Random random) throws BlockException {
        byte[] mine = new byte[16 * BLOCK];
        for (int step = 0; step < 300; step++) {
            byte[] bytes = new byte[1 + random.nextInt(512)];
            random.nextBytes(bytes);
            int offset = random.nextInt(16) * BLOCK + first;
            gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            System.arraycopy(bytes, 0, mine, offset, bytes.length);
        }
        return mine;
    }

    /// Fails where a request does not fit.
    private record Picky(MemoryDevice memory, RangeLock blockLock)
            implements BlockDevice, SharedAlignment {
        Picky(MemoryDevice memory) {
            this(memory, new RangeLock(BLOCK));
        }

        @Override
        public String description() {
            return "picky " + memory.description();
        }

        @Override
        public long size() {
            return memory.size();
        }

        @Override
        public Capabilities capabilities() {
            return new Capabilities(
                    false,
                    Support.NATIVE,
                    Support.NATIVE,
                    Support.NATIVE,
                    BLOCK,
                    true,
                    BLOCK,
                    true);
        }

        @Override
        public void read(long offset, ByteBuffer target) {
            check(offset, target);
            memory.read(offset, target);
        }

        @Override
        public void write(long offset, ByteBuffer source, Set<WriteFlag> flags)
                throws BlockException {
            check(offset, source);
            memory.write(offset, source, flags);
        }

        @Override
        public void zero(long offset, long length, Set<WriteFlag> flags) {
            check(offset, length);
            memory.zero(offset, length, flags);
        }

        @Override
        public void discard(long offset, long length) {
            check(offset, length);
            memory.discard(offset, length);
        }

        @Override
        public void flush() {
            memory.flush();
        }

        @Override
        public List<Extent> extents(long offset, long length) {
            check(offset, length);
            return memory.extents(offset, length);
        }

        @Override
        public void close() {
            memory.close();
        }

        private static void check(long offset, ByteBuffer buffer) {
            check(offset, buffer.remaining());
            assertEquals(0, buffer.alignmentOffset(buffer.position(), BLOCK), "memory");
        }

        private static void check(long offset, long length) {
            assertEquals(0, offset % BLOCK, "offset");
            assertEquals(0, length % BLOCK, "length");
        }
    }
}
