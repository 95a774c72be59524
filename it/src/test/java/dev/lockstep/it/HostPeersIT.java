package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/// The peers of this host's own release, as users combine them with the program.
class HostPeersIT {
    private static final int SIZE = 32 << 20;

    @TempDir Path folder;
    private Path disk;
    private Lockstep server;

    @BeforeEach
    void serve() throws IOException {
        disk = random("disk.raw", 1);
        server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        "0",
                        "-x",
                        "disk",
                        "-D",
                        "a test",
                        "-b",
                        "127.0.0.1",
                        "-p",
                        "0",
                        disk.toString());
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void nbd_client_lists_the_exports() {
        URI uri = URI.create(server.uri());
        String list = run("nbd-client", "-l", uri.getHost(), Integer.toString(uri.getPort()));
        assertTrue(list.contains("disk: a test"), list);
    }

    @Test
    void what_goes_through_nbdkit_as_a_proxy_arrives() throws IOException {
        Path socket = folder.resolve("proxy");
        try (PeerServer proxy =
                PeerServer.start(
                        socket, "nbdkit", "-f", "-U", socket.toString(), "nbd", server.uri())) {
            String output =
                    run(
                            "fio",
                            "--name=verify",
                            "--ioengine=nbd",
                            "--uri=" + proxy.uri(),
                            "--rw=randwrite",
                            "--bsrange=512-256k",
                            "--iodepth=16",
                            "--size=" + SIZE,
                            "--verify=crc32c",
                            "--verify_state_save=0",
                            "--verify_fatal=1",
                            "--do_verify=1");
            assertTrue(output.contains("err= 0"), output);
            Guest.run(proxy.uri(), "write -P 5 1000 3000", "write -z -u 8M 1M", "flush");
            Guest.run(proxy.uri(), "read -P 5 1000 3000", "read -P 0 8M 1M");
            run("qemu-img", "compare", "-f", "raw", "-F", "raw", proxy.uri(), disk.toString());
        }
    }

    @Test
    void nbdcopy_writes_over_sixteen_connections() throws IOException {
        Path other = random("other.raw", 2);
        run(
                "nbdcopy",
                "--flush",
                "--connections=16",
                "--threads=16",
                "--requests=64",
                "--request-size=65536",
                other.toString(),
                server.uri());
        assertEquals(-1, Files.mismatch(other, disk));
        Path copy = folder.resolve("copy.raw");
        run("nbdcopy", "--connections=16", "--threads=16", server.uri(), copy.toString());
        assertEquals(-1, Files.mismatch(other, copy));
    }

    private Path random(String name, int seed) throws IOException {
        byte[] bytes = new byte[SIZE];
        new Random(seed).nextBytes(bytes);
        return Files.write(folder.resolve(name), bytes);
    }

    private static String run(String... command) {
        return Peer.run(command).expectSuccess().output();
    }
}
