package dev.lockstep.block.concat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.ZeroSearch;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;

class ConcatenationTest {
    private static final int PART = 1 << 16;
    private static final int ROUNDS = 200;

    private final Random random = new Random(Seeds.next("concatenation"));
    private final byte[] content = new byte[3 * PART];
    private final Gate whole;

    ConcatenationTest() throws BlockException {
        random.nextBytes(content);
        Arrays.fill(content, PART, 2 * PART, (byte) 0);
        Gate first = new Gate(new MemoryDevice(PART));
        first.write(0, ByteBuffer.wrap(content, 0, PART), WriteFlag.NONE);
        Gate third = new Gate(new MemoryDevice(PART));
        third.write(0, ByteBuffer.wrap(content, 2 * PART, PART), WriteFlag.NONE);
        Gate empty = new Gate(new MemoryDevice(0));
        Gate hole = new Gate(new MemoryDevice(PART));
        whole = new Gate(new Concatenation(List.of(first, hole, empty, third)));
    }

    @Test
    void any_range_is_read_across_the_parts() throws BlockException {
        assertEquals(content.length, whole.size());
        for (int round = 0; round < ROUNDS; round++) {
            int offset = random.nextInt(content.length);
            int length = random.nextInt(content.length - offset) + 1;
            assertArrayEquals(
                    Arrays.copyOfRange(content, offset, offset + length),
                    DiskModel.read(whole, offset, length));
        }
    }

    @Test
    void extents_are_those_of_the_parts() throws BlockException {
        long at = PART;
        Extent hole = whole.extents(at, content.length - at).getFirst();
        assertEquals(Extent.Kind.HOLE, hole.kind());
        assertEquals(at, hole.offset());
        assertEquals(Extent.Kind.DATA, whole.extents(2L * PART, PART).getFirst().kind());
    }

    @Test
    void nothing_is_written() {
        assertThrows(
                BlockException.class, () -> whole.write(0, ByteBuffer.allocate(1), WriteFlag.NONE));
    }

    @Test
    void the_first_byte_that_is_no_zero_is_found() throws BlockException {
        int first = 2 * PART;
        while (content[first] == 0) {
            first++;
        }
        assertEquals(OptionalLong.of(first), search(PART, content.length));
        assertEquals(OptionalLong.empty(), search(PART, 2 * PART));
    }

    private OptionalLong search(long start, long end) throws BlockException {
        return new ZeroSearch(whole, start, end, CopyOptions.DEFAULT).run();
    }
}
