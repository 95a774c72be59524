package dev.lockstep.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

import java.util.List;

class ServerPlaceTest {
    @Test
    void a_command_in_brackets_becomes_one_argument_and_its_options_are_not_read() {
        String[] folded =
                ServerPlace.fold("copy", "-p", "[", "qemu-nbd", "-r", "a b", "]", "[", "x", "]");
        assertEquals(4, folded.length);
        assertEquals("-p", folded[1]);
        assertEquals(
                new ServerPlace.Started(List.of("qemu-nbd", "-r", "a b")),
                ServerPlace.parse(folded[2]));
        assertEquals(new ServerPlace.Started(List.of("x")), ServerPlace.parse(folded[3]));
        assertEquals("[ qemu-nbd -r a b ]", ServerPlace.unfold(folded[2]));
        assertEquals("-p", ServerPlace.unfold(folded[1]));
    }

    @Test
    void what_has_no_brackets_stays_as_it_is() {
        String[] arguments = {"info", "--size", "nbd://[::1]:10809/"};
        assertArrayEquals(arguments, ServerPlace.fold(arguments));
        assertInstanceOf(ServerPlace.At.class, ServerPlace.parse(arguments[2]));
    }

    @Test
    void brackets_that_are_empty_or_not_closed_are_refused() {
        assertThrows(UsageError.class, () -> ServerPlace.fold("info", "[", "]"));
        assertThrows(UsageError.class, () -> ServerPlace.fold("info", "[", "nbdkit", "null"));
    }
}
