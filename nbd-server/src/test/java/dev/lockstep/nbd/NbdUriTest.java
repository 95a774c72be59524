package dev.lockstep.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;

class NbdUriTest {
    @ParameterizedTest
    @CsvSource({
        "nbd://example.com/disk, example.com:10809, disk",
        "nbd+unix:///disk?socket=nbd.sock, unix:nbd.sock, disk",
        "nbd://example.com/, example.com:10809, ''",
        "nbd://example.com, example.com:10809, ''",
        "nbd://example.com//disk, example.com:10809, /disk",
        "nbd://example.com/hello%20world, example.com:10809, hello world",
        "nbd://[::1]:7/x, [::1]:7, x",
        "nbd://[::1], [::1]:10809, ''",
        "nbd:///x, localhost:10809, x",
        "NBD://host/x, host:10809, x",
        "nbd://me@host:5/x, host:5, x",
        "nbd+unix://?socket=/run/%C3%A9.sock, unix:/run/é.sock, ''",
    })
    @Shows("port")
    void the_examples_of_the_document_mean_what_it_says(
            String text, String address, String export) {
        assertEquals(new NbdUri(Address.parse(address), export), NbdUri.parse(text));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "nbd://localhost:10809/",
                "nbd://[::1]:1/a%20b/c%3F%25",
                "nbd+unix:///vm1?socket=/run/a%20b%26c.sock",
            })
    void a_uri_is_formatted_as_it_was_parsed(String text) {
        assertEquals(text, NbdUri.parse(text).format());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "disk.raw",
                "nbd:host:1",
                "http://x/",
                "nbd://host:x/",
                "nbd://host/%2",
                "nbd://host/%",
                "nbd://host/%zz",
                "nbd://host/%FF",
                "nbd://host/%00",
                "nbd://host/x#y",
                "nbd://host/x?socket=/a",
                "nbd://host/x?colour=red",
                "nbd+unix:///x",
                "nbd+unix:///x?socket=",
                "nbd+unix://host/x?socket=/a",
                "nbd+unix:///x?socket=%00abstract",
                "nbd+vsock://2:10809/x"
            })
    void what_is_no_uri_is_refused_with_a_sentence(String text) {
        assertTrue(refusal(text).length() > 20, text);
    }

    @Test
    void nbds_asks_for_tls_and_its_parameters_survive_formatting() {
        assertEquals(UriTls.DEFAULT, NbdUri.parse("nbds://host/x").tls());
        assertNull(NbdUri.parse("nbd://host/x").tls());
        NbdUri psk = NbdUri.parse("nbds+unix://alice@/x?socket=/a&tls-psk-file=/k");
        assertEquals(new UriTls(null, Path.of("/k"), "alice", null, true), psk.tls());
        for (NbdUri uri :
                List.of(
                        psk,
                        NbdUri.parse(
                                "nbds://host:1/x?tls-certificates=/c%20c&tls-hostname=other"
                                        + "&tls-verify-peer=0"))) {
            assertEquals(uri, NbdUri.parse(uri.format()));
        }
    }

    @Test
    void parameters_of_tls_belong_to_nbds_and_must_make_sense() {
        assertTrue(refusal("nbd://host/x?tls-hostname=y").contains("scheme nbds"));
        for (String query :
                List.of(
                        "tls-type=anon",
                        "tls-type=psk",
                        "tls-verify-peer=maybe",
                        "tls-certificates=/a&tls-psk-file=/b",
                        "tls-colour=red")) {
            assertTrue(refusal("nbds://host/x?" + query).contains("tls-"), query);
        }
    }

    private static String refusal(String text) {
        return String.valueOf(
                assertThrows(IllegalArgumentException.class, () -> NbdUri.parse(text))
                        .getMessage());
    }
}
