package dev.lockstep.block.filter.probe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Set;

class ProbedDeviceTest extends BlockDeviceContract {
    private final Gate image = new Gate(new MemoryDevice(1 << 20));
    private final Gate guarded = new Gate(new ProbedDevice(image));

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        Gate memory = new Gate(new MemoryDevice(contents.length));
        memory.write(0, ByteBuffer.wrap(contents), Set.of());
        return new ProbedDevice(memory);
    }

    @Test
    void a_write_that_makes_the_first_sector_look_like_another_format_is_refused()
            throws Exception {
        for (String mark : new String[] {"QFI\u00fb", "QED\0", "KDMV", "conectix", "vhdxfile"}) {
            BlockException refused = assertThrows(BlockException.class, () -> write(0, mark));
            assertEquals(Kind.DENIED, refused.kind());
        }
        assertTrue(refused(0x40, "\u007f\u0010\u00da\u00be"));
        assertEquals(ImageFormat.RAW, ImageFormat.of(read(512)));
    }

    @Test
    void a_mark_put_together_from_halves_is_refused() throws Exception {
        write(0, "QF");
        assertTrue(refused(2, "I\u00fb"));
        write(0, "QEDx");
        assertThrows(BlockException.class, () -> guarded.zero(3, 1, Set.of()));
        assertThrows(BlockException.class, () -> guarded.discard(3, 1));
    }

    @Test
    void everything_else_is_written() throws Exception {
        write(0, "\u00fa1\u00c0");
        write(510, "QFI\u00fb");
        write(512, "QFI\u00fb");
        write(1, "QFI\u00fb");
        guarded.zero(0, 4096, Set.of());
        assertFalse(refused(0, "plain"));
    }

    private boolean refused(long offset, String text) {
        try {
            write(offset, text);
            return false;
        } catch (BlockException e) {
            return e.kind() == Kind.DENIED;
        }
    }

    private void write(long offset, String text) throws BlockException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        guarded.write(offset, ByteBuffer.wrap(bytes), Set.of());
    }

    private byte[] read(int length) throws BlockException {
        byte[] bytes = new byte[length];
        image.read(0, ByteBuffer.wrap(bytes));
        return bytes;
    }
}
