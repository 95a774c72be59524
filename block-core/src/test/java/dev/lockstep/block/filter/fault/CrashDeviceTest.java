package dev.lockstep.block.filter.fault;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

class CrashDeviceTest extends BlockDeviceContract {
    private @Nullable Gate medium;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        medium = new Gate(new MemoryDevice(contents.length));
        fill(medium, contents);
        return new CrashDevice(medium);
    }

    @Override
    protected @Nullable BlockDevice crash(BlockDevice device, Random random) throws Exception {
        ((CrashDevice) device).crash(random);
        return new CrashDevice(Objects.requireNonNull(medium));
    }

    @Test
    void each_sector_survives_a_crash_or_does_not_by_itself() throws Exception {
        Random random = new Random(Seeds.next("CrashDeviceTest"));
        Gate disk = new Gate(new MemoryDevice(1 << 16));
        Gate gate = new Gate(new CrashDevice(disk));
        for (byte value = 1; value <= 2; value++) {
            byte[] bytes = new byte[1 << 16];
            Arrays.fill(bytes, value);
            gate.write(0, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        }
        ((CrashDevice) gate.device()).crash(random);
        Set<Byte> found = new HashSet<>();
        for (byte value : DiskModel.read(disk, 0, 1 << 16)) {
            found.add(value);
        }
        assertEquals(Set.of((byte) 0, (byte) 1, (byte) 2), found);
        assertKind(Kind.GONE, () -> gate.read(0, ByteBuffer.allocate(1)));
        assertKind(Kind.GONE, gate::flush);
        assertTrue(gate.inFlight() == 0);
    }
}
