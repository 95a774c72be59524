package dev.lockstep.block.copy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.Random;

class CopyTest {
    private static final int SIZE = 3 << 20;
    private static final int ROUNDS = 20;

    private final Random random = new Random(Seeds.next("copy"));
    private final MemoryDevice sourceDevice = new MemoryDevice(SIZE);
    private final MemoryDevice targetDevice = new MemoryDevice(SIZE);
    private final Gate source = new Gate(sourceDevice);
    private final Gate target = new Gate(targetDevice);

    @Test
    void every_byte_arrives_whatever_the_options_are() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            scribble(source);
            scribble(target);
            long length = SIZE - random.nextInt(3) * 777L;
            byte[] tail = DiskModel.read(target, length, (int) (SIZE - length));
            DeviceCopy copy = new DeviceCopy(source, target, length, options());
            copy.run();
            assertEquals(length, copy.doneBytes());
            assertArrayEquals(
                    DiskModel.read(source, 0, (int) length),
                    DiskModel.read(target, 0, (int) length));
            assertArrayEquals(tail, DiskModel.read(target, length, tail.length));
        }
    }

    @Test
    void what_reads_as_zeroes_takes_no_space() throws Exception {
        target.write(0, ByteBuffer.wrap(new byte[SIZE]), WriteFlag.NONE);
        source.write(1 << 20, bytes(1 << 16), WriteFlag.NONE);
        source.write(2 << 20, ByteBuffer.allocate(1 << 20), WriteFlag.NONE);
        new DeviceCopy(source, target, SIZE, CopyOptions.DEFAULT).run();
        assertEquals(1 << 16, targetDevice.allocatedBytes());
    }

    @Test
    void nothing_is_done_about_zeroes_where_the_target_has_them_already() throws Exception {
        source.write(0, bytes(4096), WriteFlag.NONE);
        FaultDevice noZeroes = new FaultDevice(target, Fault.error(Kind.IO).on(Operation.ZERO));
        CopyOptions options = CopyOptions.DEFAULT.withTargetIsZero();
        new DeviceCopy(source, new Gate(noZeroes), SIZE, options).run();
        assertSame(SIZE);
    }

    @Test
    void the_first_failure_ends_it_and_nothing_is_in_flight_then() throws Exception {
        scribble(source);
        source.write(0, bytes(SIZE), WriteFlag.NONE);
        Fault full = Fault.error(Kind.NO_SPACE).on(Operation.WRITE).after(3);
        Gate gate = new Gate(new FaultDevice(target, full));
        DeviceCopy copy = new DeviceCopy(source, gate, SIZE, CopyOptions.DEFAULT);
        assertEquals(Kind.NO_SPACE, assertThrows(BlockException.class, copy::run).kind());
        assertEquals(0, gate.inFlight());
        assertEquals(0, source.inFlight());
        assertTrue(copy.doneBytes() < SIZE);
    }

    @Test
    void a_cancelled_copy_says_why() {
        DeviceCopy copy = new DeviceCopy(source, target, SIZE, CopyOptions.DEFAULT);
        copy.cancel(new BlockException(Kind.GONE, "enough"));
        assertEquals("enough", assertThrows(BlockException.class, copy::run).getMessage());
    }

    @Test
    void the_first_difference_is_found() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            scribble(source);
            new DeviceCopy(source, target, SIZE, CopyOptions.DEFAULT).run();
            assertEquals(OptionalLong.empty(), compare());
            int at = random.nextInt(SIZE - 1);
            change(at + random.nextInt(SIZE - at));
            change(at);
            assertEquals(OptionalLong.of(at), compare());
        }
    }

    @Test
    void a_stream_goes_in_and_comes_out_as_it_was() throws Exception {
        scribble(source);
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        new StreamCopy(options()).write(source, SIZE - 5, Channels.newChannel(stream));
        byte[] expected = Arrays.copyOf(DiskModel.read(source, 0, SIZE), SIZE - 5);
        assertArrayEquals(expected, stream.toByteArray());
        CopyOptions options = options();
        long length =
                new StreamCopy(options)
                        .read(
                                Channels.newChannel(new ByteArrayInputStream(expected)),
                                Sink.of(target, options));
        assertEquals(expected.length, length);
        assertArrayEquals(expected, DiskModel.read(target, 0, expected.length));
    }

    private OptionalLong compare() throws BlockException {
        return new Comparison(source, target, SIZE, options()).run();
    }

    private void assertSame(int length) throws BlockException {
        assertArrayEquals(DiskModel.read(source, 0, length), DiskModel.read(target, 0, length));
    }

    private void change(int at) throws BlockException {
        byte[] one = DiskModel.read(target, at, 1);
        one[0]++;
        target.write(at, ByteBuffer.wrap(one), WriteFlag.NONE);
    }

    private CopyOptions options() {
        return new CopyOptions(
                4096 << random.nextInt(8),
                1 + random.nextInt(8),
                random.nextBoolean() ? 0 : 512 * (1 + random.nextInt(16)),
                512 << random.nextInt(4),
                random.nextBoolean(),
                false,
                random.nextBoolean(),
                false,
                random.nextBoolean());
    }

    private ByteBuffer bytes(int count) {
        byte[] bytes = new byte[count];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    /// Data, written zeroes and holes, at any positions.
    private void scribble(Gate disk) throws BlockException {
        for (int i = 0; i < 10; i++) {
            int length = 1 + random.nextInt(1 << 18);
            int offset = random.nextInt(SIZE - length);
            switch (random.nextInt(3)) {
                case 0 -> disk.zero(offset, length, WriteFlag.UNMAP);
                case 1 -> disk.write(offset, ByteBuffer.allocate(length), WriteFlag.NONE);
                default -> disk.write(offset, bytes(length), WriteFlag.NONE);
            }
        }
    }
}
