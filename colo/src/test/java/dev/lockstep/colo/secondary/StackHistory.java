package dev.lockstep.colo.secondary;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/// A stack, the bytes that its guest and its primary must see, and writers that go on at the same
/// time. Every writer has blocks of its own, smaller than a cluster, so that it knows what each
/// byte must be although its neighbours in the cluster change.
final class StackHistory implements SecondaryStack.Listener {
    static final int SIZE = 40 * Layers.CLUSTER_BYTES + 512;
    private static final int BLOCK = 4096;
    private static final int WRITERS = 3;

    /// The blocks from here on belong in long rows to one writer of each kind.
    private static final int WIDE_FROM = 24 * Layers.CLUSTER_BYTES;

    final SecondaryStack stack;
    final byte[] guestSees = new byte[SIZE];
    final byte[] primarySees = new byte[SIZE];
    final AtomicBoolean guestWrote = new AtomicBoolean();
    final AtomicBoolean targetFailed = new AtomicBoolean();
    final AtomicBoolean filling = new AtomicBoolean();
    private final long seed;
    private long epoch;
    private volatile Gate target;

    StackHistory(BlockDevice disk, BufferStore stores, long limit, long seed)
            throws BlockException {
        this(disk, BufferSource.of(stores), limit, seed);
    }

    StackHistory(BlockDevice disk, BufferSource buffers, long limit, long seed)
            throws BlockException {
        this.seed = seed;
        stack = new SecondaryStack(disk, buffers, limit, this);
        target = join();
    }

    @Override
    public void guestWrites() {
        guestWrote.set(true);
    }

    @Override
    public void targetFailed(BlockException cause) {
        targetFailed.set(true);
    }

    @Override
    public void buffersFilling(long bufferedBytes, long limitBytes) {
        filling.set(true);
    }

    Gate target() {
        return target;
    }

    /// What the machine does for a session that needs no sync.
    Gate join() throws BlockException {
        stack.fence(stack.closeTarget("a new session"));
        stack.shutGuest();
        drain();
        stack.swapBuffers();
        Gate edge = stack.openTarget(true);
        stack.openGuest();
        target = edge;
        return edge;
    }

    /// As for a record of the next epoch.
    private void drain() throws BlockException {
        epoch++;
        stack.drain(Optional.of(record().identity()));
    }

    /// What the machine stores for the checkpoint that there is.
    DurableRecord record() {
        Identity identity = Identity.first(new Nonce(7, 7)).at(epoch);
        return new DurableRecord(Standing.FOLLOWING, identity, true, false);
    }

    void checkpoint() throws BlockException {
        stack.shutGuest();
        drain();
        stack.swapBuffers();
        stack.openGuest();
        System.arraycopy(primarySees, 0, guestSees, 0, SIZE);
    }

    /// Guest and primary write at once, and read what they wrote.
    void run(int operations, int round) throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> writers = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                int index = i;
                writers.add(threads.submit(() -> write(guest(index, round), operations)));
                writers.add(threads.submit(() -> write(primary(index, round), operations)));
            }
            await(writers);
        }
    }

    static void await(List<Future<?>> tasks) throws Exception {
        for (Future<?> task : tasks) {
            try {
                task.get();
            } catch (ExecutionException e) {
                throw new AssertionError(e.getCause());
            }
        }
    }

    void verifyGuest() throws BlockException {
        assertArrayEquals(guestSees, readAll(stack.guest()), "what the guest sees");
    }

    void verifyDisk(BlockDevice disk, byte[] expected) throws BlockException {
        assertArrayEquals(expected, readAll(disk), "what is on the disk");
    }

    static byte[] readAll(BlockDevice device) throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(SIZE);
        device.read(0, bytes);
        return bytes.array();
    }

    Writer guest(int index, int round) {
        return new Writer(stack.guest(), guestSees, index, random(index, round), true);
    }

    private Writer primary(int index, int round) {
        return new Writer(target, primarySees, index, random(index + WRITERS, round), false);
    }

    private Random random(int who, int round) {
        return new Random(seed * 31 + who * 1009L + round);
    }

    Object write(Writer writer, int operations) throws BlockException {
        for (int i = 0; i < operations; i++) {
            writer.step();
        }
        return writer;
    }

    /// One thread's share of the work.
    static final class Writer {
        private final Gate device;
        private final byte[] model;
        private final int index;
        private final Random random;
        private final boolean retries;

        Writer(Gate device, byte[] model, int index, Random random, boolean retries) {
            this.device = device;
            this.model = model;
            this.index = index;
            this.random = random;
            this.retries = retries;
        }

        void step() throws BlockException {
            int offset;
            int length;
            if (index == 0 && random.nextInt(3) == 0) {
                offset = WIDE_FROM + random.nextInt(SIZE - WIDE_FROM);
                length = 1 + random.nextInt(Math.min(5 * Layers.CLUSTER_BYTES, SIZE - offset));
            } else {
                int block = random.nextInt(WIDE_FROM / BLOCK / WRITERS) * WRITERS + index;
                int within = random.nextInt(BLOCK);
                offset = block * BLOCK + within;
                length = 1 + random.nextInt(BLOCK - within);
            }
            switch (random.nextInt(8)) {
                case 0, 1, 2 -> read(offset, length);
                case 3 -> zero(offset, length);
                default -> write(offset, length);
            }
        }

        private void read(int offset, int length) throws BlockException {
            ByteBuffer bytes = ByteBuffer.allocate(length);
            if (!device.readNow(offset, bytes)) {
                bytes.clear();
                device.read(offset, bytes);
            }
            int wrong =
                    Arrays.mismatch(
                            bytes.array(), Arrays.copyOfRange(model, offset, offset + length));
            assertEquals(-1, wrong, () -> "byte %d of a read at %d".formatted(wrong, offset));
        }

        private void zero(int offset, int length) throws BlockException {
            attempt(() -> device.zero(offset, length, WriteFlag.UNMAP));
            Arrays.fill(model, offset, offset + length, (byte) 0);
        }

        private void write(int offset, int length) throws BlockException {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            boolean durable = random.nextInt(10) == 0;
            attempt(
                    () -> {
                        ByteBuffer source = ByteBuffer.wrap(bytes);
                        if (durable || !device.writeNow(offset, source)) {
                            source.clear();
                            device.write(
                                    offset, source, durable ? WriteFlag.DURABLE : WriteFlag.NONE);
                        }
                    });
            System.arraycopy(bytes, 0, model, offset, length);
        }

        /// A failed write may have been done in part; doing it again makes that certain.
        private void attempt(Request request) throws BlockException {
            while (true) {
                try {
                    request.run();
                    return;
                } catch (BlockException e) {
                    if (!retries || e.kind() != BlockException.Kind.IO) {
                        throw e;
                    }
                }
            }
        }

        private interface Request {
            void run() throws BlockException;
        }
    }
}
