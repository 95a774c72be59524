package dev.lockstep.block.qcow2.layout;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.Random;

class NamesTest {
    @Test
    void names_in_utf8_are_what_they_say() {
        for (String name : new String[] {"", "plain", "ümläut", "\ud83d\udcbe disk", "\u0000"}) {
            byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
            assertEquals(name, Names.decode(bytes));
            assertArrayEquals(bytes, Names.encode(name));
        }
    }

    @Test
    void names_in_anything_else_keep_their_bytes() {
        Random random = new Random(Seeds.next("NamesTest"));
        for (int round = 0; round < 2000; round++) {
            byte[] bytes = new byte[random.nextInt(20)];
            random.nextBytes(bytes);
            if (random.nextBoolean()) {
                byte[] text = "ä€\ud83d\udcbe".getBytes(StandardCharsets.UTF_8);
                System.arraycopy(text, 0, bytes, 0, Math.min(bytes.length, text.length));
            }
            assertArrayEquals(bytes, Names.encode(Names.decode(bytes)));
        }
    }
}
