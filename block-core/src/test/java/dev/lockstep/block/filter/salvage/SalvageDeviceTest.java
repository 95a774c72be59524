package dev.lockstep.block.filter.salvage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

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

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class SalvageDeviceTest {
    private static final int SIZE = 64 << 10;
    private static final int ROUNDS = 50;

    private final Random random = new Random(Seeds.next("SalvageDeviceTest"));
    private final Gate medium = new Gate(new MemoryDevice(SIZE));
    private final List<String> told = new ArrayList<>();

    @Test
    void what_cannot_be_read_is_zeroes_and_everything_around_it_is_there() throws Exception {
        byte[] disk = new byte[SIZE];
        random.nextBytes(disk);
        medium.write(0, ByteBuffer.wrap(disk), WriteFlag.NONE);
        for (int round = 0; round < ROUNDS; round++) {
            int from = random.nextInt(SIZE - 1);
            int bytes = 1 + random.nextInt(Math.min(3000, SIZE - from));
            Fault fault = Fault.error(Kind.IO).on(Operation.READ).in(from, bytes);
            int first = from & -512;
            int end = Math.min(SIZE, (from + bytes + 511) & -512);
            byte[] expected = disk.clone();
            Arrays.fill(expected, first, end, (byte) 0);
            told.clear();
            Gate gate = salvaging(fault);
            assertArrayEquals(expected, DiskModel.read(gate, 0, SIZE));
            assertEquals((end - first) / 512, told.size());
            int start = random.nextInt(SIZE - 700);
            assertArrayEquals(
                    Arrays.copyOfRange(expected, start & -512, (start & -512) + 512),
                    DiskModel.read(gate, start & -512, 512));
        }
    }

    @Test
    void a_disk_that_is_gone_is_no_damage() {
        Gate gate = salvaging(Fault.error(Kind.GONE).on(Operation.READ));
        BlockException e =
                assertThrows(BlockException.class, () -> gate.read(0, ByteBuffer.allocate(SIZE)));
        assertEquals(Kind.GONE, e.kind());
        assertEquals(List.of(), told);
    }

    private Gate salvaging(Fault fault) {
        return new Gate(new SalvageDevice(new Gate(new FaultDevice(medium, fault)), told::add));
    }
}
