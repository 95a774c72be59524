package dev.lockstep.nbd.junit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.server.InjectedFault;

import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;

/// The extension with other people's clients.
class NbdServerExtensionTest {
    @RegisterExtension
    static final NbdServerExtension NBD =
            NbdServerExtension.random(1 << 20, 7)
                    .with("empty", () -> new MemoryDevice(1 << 20))
                    .without(Degradation.NO_ZEROES);

    @RepeatedTest(2)
    void each_test_has_a_fresh_disk(TestServer server) throws Exception {
        byte[] expected = new byte[1 << 20];
        new Random(7).nextBytes(expected);
        assertArrayEquals(expected, server.bytes(0, 1 << 20));
        qemuIo(server, "write -P 5 0 64k");
        assertEquals(5, server.bytes(0, 1)[0]);
    }

    @Test
    void several_disks_have_a_uri_each(TestServer server) throws Exception {
        run("nbdcopy", server.uri().toString(), server.uri("empty").toString());
        assertArrayEquals(server.bytes(0, 1 << 20), server.bytes("empty", 0, 1 << 20));
    }

    @Test
    void what_the_server_does_without_is_not_there(TestServer server) throws Exception {
        Output info = run("nbdinfo", server.uri().toString());
        assertTrue(info.text.contains("can_zero: false"), info.text);
    }

    @Test
    void a_fault_is_injected_counted_and_removed(TestServer server) throws Exception {
        InjectedFault fault = server.inject("read@512k,error=EIO");
        assertTrue(qemuIo(server, "read 0 512").text.contains("read 512/512"));
        assertTrue(qemuIo(server, "read 600k 512").text.contains("read failed: Input/output"));
        assertEquals(1, fault.hits());
        fault.remove();
        assertTrue(qemuIo(server, "read 600k 512").text.contains("read 512/512"));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void parameters_of_others_do_not_get_in_its_way(int number, TestServer server)
            throws Exception {
        assertTrue(qemuIo(server, "read 0 " + number + "k").text.contains("ops; "));
    }

    @Test
    void a_unix_socket_will_do() {
        assertEquals(new InnerRun(1, List.of()), InnerRun.of(UnixCase.class));
    }

    static class UnixCase {
        @RegisterExtension
        static final NbdServerExtension UNIX = NbdServerExtension.memory(4096).overUnixSocket();

        @Test
        void works(TestServer server) throws Exception {
            assertTrue(server.uri().toString().startsWith("nbd+unix:"), "" + server.uri());
            assertTrue(qemuIo(server, "write 0 4096").text.contains("wrote 4096"));
        }
    }

    @WithNbdServer(size = 8192, faults = "write,nth=2,error=ENOSPC")
    static class AnnotatedCase {
        @Test
        void of_the_class(TestServer server) throws Exception {
            assertTrue(qemuIo(server, "write 0 8192").text.contains("wrote 8192"));
            assertTrue(qemuIo(server, "write 0 512").text.contains("No space left"));
        }

        @Test
        @WithNbdServer(size = 512)
        void of_the_method(TestServer server) throws Exception {
            assertEquals("512\n", run("nbdinfo", "--size", server.uri().toString()).text);
        }
    }

    @Test
    void an_annotation_is_enough_for_a_disk_in_memory() {
        assertEquals(new InnerRun(2, List.of()), InnerRun.of(AnnotatedCase.class));
    }

    static class GarbageCase {
        @RegisterExtension static final NbdServerExtension SERVER = NbdServerExtension.memory(4096);

        @Test
        void sends_garbage(TestServer server) throws IOException {
            sendGarbage(server);
        }
    }

    static class ForgivenCase {
        @RegisterExtension
        static final NbdServerExtension SERVER = NbdServerExtension.memory(4096).forgiving();

        @Test
        void sends_garbage(TestServer server) throws IOException {
            sendGarbage(server);
        }
    }

    @Test
    void a_client_that_breaks_the_protocol_fails_its_test_unless_forgiven() {
        InnerRun failed = InnerRun.of(GarbageCase.class);
        assertEquals(1, failed.failures().size());
        String message = String.valueOf(failed.failures().getFirst().getMessage());
        assertTrue(message.contains("an option begins with 0x47455420"), message);
        assertEquals(new InnerRun(1, List.of()), InnerRun.of(ForgivenCase.class));
    }

    private static void sendGarbage(TestServer server) throws IOException {
        try (SocketChannel socket = server.uri().address().openSocket()) {
            socket.connect(server.uri().address().socketAddress());
            socket.write(
                    ByteBuffer.wrap("\0\0\0\3GET / HTTP/1.1\r\n".getBytes(StandardCharsets.UTF_8)));
            ByteBuffer rest = ByteBuffer.allocate(100);
            while (socket.read(rest.clear()) >= 0) {
                assertNotEquals(100, rest.position());
            }
        }
    }

    private record Output(int status, String text) {}

    private static Output qemuIo(TestServer server, String command)
            throws IOException, InterruptedException {
        return start("qemu-io", "-f", "raw", "-c", command, server.uri().toString());
    }

    private static Output run(String... command) throws IOException, InterruptedException {
        Output output = start(command);
        assertEquals(0, output.status, output.text);
        assertFalse(output.text.contains("rror"), output.text);
        return output;
    }

    private static Output start(String... command) throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new IOException(
                    command[0] + " is missing: apt-get install qemu-utils libnbd-bin", e);
        }
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Output(process.waitFor(), text);
    }
}
