package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// Servers that did not make their sockets: their clients did, or systemd.
class HandedInSocketsIT {
    private static final String SERVER = Lockstep.ROOT.resolve("lockstep").toString();

    @TempDir Path folder;
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        disk = Files.write(folder.resolve("d.raw"), new byte[1 << 20]);
    }

    @Test
    void a_client_that_starts_its_server_hands_it_the_socket_to_listen_on() {
        Peer.Result size =
                Peer.run("nbdinfo", "--size", "--", "[", SERVER, "nbd", "-f", "raw", "" + disk, "]")
                        .expectSuccess();
        assertEquals("1048576\n", size.output());
        assertEquals("", size.errors());
    }

    @Test
    void standard_input_that_is_a_socket_is_served() {
        Peer.Result client =
                Peer.run(
                        "/usr/bin/python3",
                        "-c",
                        """
                        import nbd, sys
                        h = nbd.NBD()
                        h.connect_command(sys.argv[1:])
                        h.pwrite(b"seven", 7)
                        print(h.get_size(), h.pread(5, 7).decode())
                        h.shutdown()
                        """,
                        SERVER,
                        "nbd",
                        "-f",
                        "raw",
                        "--stdio",
                        disk.toString());
        assertEquals("1048576 seven\n", client.expectSuccess().output());
        assertEquals("", client.errors());
    }

    @Test
    void standard_input_and_output_that_are_pipes_are_served() {
        Peer.Result client =
                Peer.run(
                        "/usr/bin/python3",
                        "-c",
                        """
                        import struct, subprocess, sys
                        server = subprocess.Popen(
                            sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                        def ask(data, count):
                            server.stdin.write(data)
                            server.stdin.flush()
                            return server.stdout.read(count)
                        print(ask(b"", 18)[:16].decode())
                        choose = struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0)
                        print(struct.unpack(">QH", ask(choose, 10))[0])
                        read = struct.pack(">IHHQQI", 0x25609513, 0, 0, 42, 0, 4096)
                        print(len(ask(read, 16 + 4096)))
                        server.stdin.close()
                        print(len(server.stdout.read()), server.wait())
                        """,
                        SERVER,
                        "nbd",
                        "-f",
                        "raw",
                        "--stdio",
                        disk.toString());
        assertEquals("NBDMAGICIHAVEOPT\n1048576\n4112\n0 0\n", client.expectSuccess().output());
        assertEquals("", client.errors());
    }

    @Test
    void systemd_hands_in_several_sockets_and_keeps_their_files() throws Exception {
        Path socket = folder.resolve("sock");
        Path log = folder.resolve("log");
        Process systemd =
                Peer.start(
                        log,
                        "systemd-socket-activate",
                        "-E",
                        "LOCKSTEP_NO_BUILD=1",
                        "-l",
                        socket.toString(),
                        "-l",
                        folder.resolve("second").toString(),
                        SERVER,
                        "nbd",
                        "-t",
                        "-f",
                        "raw",
                        disk.toString());
        try {
            await().until(() -> Files.exists(folder.resolve("second")));
            Guest.run("nbd+unix:///?socket=" + socket, "write -P 3 0 4k");
            Guest.run("nbd+unix:///?socket=" + folder.resolve("second"), "read -P 3 0 4k");
            systemd.destroy();
            assertEquals(0, systemd.waitFor(), () -> read(log));
            assertTrue(Files.exists(socket));
        } finally {
            systemd.destroyForcibly().waitFor();
        }
    }

    @Test
    void a_socket_in_the_abstract_namespace_is_served() {
        assertEquals(
                "NBDMAGIC\n",
                handIn(
                                """
                                socket.socket(socket.AF_UNIX)
                                s.bind("\\0" + sys.argv[-1])
                                s.listen()
                                """,
                                """
                                c = socket.socket(socket.AF_UNIX)
                                c.connect("\\0" + sys.argv[-1])
                                print(c.recv(8, socket.MSG_WAITALL).decode())
                                os.kill(child, signal.SIGTERM)
                                """)
                        .expectSuccess()
                        .output());
    }

    @Test
    void a_socket_that_cannot_be_served_is_one_sentence() {
        String vsock =
                handIn(
                                """
                                socket.socket(socket.AF_VSOCK)
                                s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
                                s.listen()
                                """,
                                "")
                        .expectOneSentence();
        assertTrue(vsock.contains("neither TCP nor Unix"), vsock);
        String deaf = handIn("socket.socket()", "").expectOneSentence();
        assertTrue(deaf.contains("does not listen"), deaf);
    }

    /// Hands the socket `s` to a server as systemd does, and exits with the server's status.
    private Peer.Result handIn(String making, String using) {
        return Peer.run(
                "/usr/bin/python3",
                "-c",
                "import os, signal, socket, sys\ns = "
                        + making
                        + """

                        child = os.fork()
                        if child == 0:
                            os.dup2(s.fileno(), 3)
                            os.set_inheritable(3, True)
                            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
                            os.execv(sys.argv[1], sys.argv[1:])
                        """
                        + using
                        + "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
                SERVER,
                "nbd",
                "-f",
                "raw",
                disk.toString());
    }

    @Test
    void handed_in_sockets_leave_no_room_for_others() {
        for (List<String> extra : List.of(List.of("--fork"), List.of("-p", "0"))) {
            ProcessBuilder builder =
                    new ProcessBuilder(
                            "/bin/bash",
                            "-c",
                            "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3</dev/null",
                            "bash",
                            SERVER,
                            "nbd",
                            "-f",
                            "raw",
                            disk.toString());
            builder.environment().put("LOCKSTEP_NO_BUILD", "1");
            builder.command().addAll(extra);
            String said = Peer.run(builder, Duration.ofMinutes(1)).expectOneSentence();
            assertTrue(said.contains("handed in"), said);
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e.toString();
        }
    }
}
