package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;

class AddressTest {
    @ParameterizedTest
    @ValueSource(strings = {"unix:/run/a b.sock", "localhost:0", "10.0.0.7:10809", "[::1]:65535"})
    void an_address_is_formatted_as_it_was_written(String text) {
        assertEquals(text, Address.parse(text).toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                ":",
                "unix:",
                "host",
                "host:",
                ":10809",
                "::1:5",
                "host:-1",
                "host:65536",
                "host:99999",
                "host:1x",
                "[]:1",
                "a b:1",
                "nbd://host:1"
            })
    void what_is_no_address_is_refused_with_a_sentence(String text) {
        String message =
                assertThrows(IllegalArgumentException.class, () -> Address.parse(text))
                        .getMessage();
        assertTrue(message != null && !message.isEmpty() && !message.contains("\n"), text);
    }

    @Test
    void a_socket_path_that_the_kernel_cannot_take_is_refused() {
        String path = "/" + "x".repeat(107);
        assertThrows(IllegalArgumentException.class, () -> new Address.Unix(Path.of(path)));
        assertEquals(
                "unix:/" + "x".repeat(106), Address.parse("unix:/" + "x".repeat(106)).toString());
    }

    @Test
    void loopback_is_this_host_alone() {
        for (String near : new String[] {"unix:/x", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"}) {
            assertTrue(Address.parse(near).isLoopback(), near);
        }
        for (String far : new String[] {"0.0.0.0:1", "[::]:1", "10.1.2.3:1", "[fe80::1]:1"}) {
            assertFalse(Address.parse(far).isLoopback(), far);
        }
    }
}
