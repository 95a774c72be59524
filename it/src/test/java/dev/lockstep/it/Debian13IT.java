package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/// Peers that speak extended headers: libnbd 1.22 and qemu 10 on our server, qemu-nbd 10 and nbdkit
/// 1.42 beneath our client. The disk is larger than 4 GiB, which is what those headers are for.
class Debian13IT {
    private static final long GIB = 1L << 30;
    private static final long SIZE = 9 * GIB;
    private static final int DATA_BYTES = 4 << 20;

    @TempDir Path folder;
    private Path disk;
    private Lockstep server;

    @BeforeEach
    void serve() throws IOException {
        disk = folder.resolve("disk.raw");
        make(disk, SIZE);
        server =
                Lockstep.start(
                        "nbd",
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        "0",
                        "--discard=unmap",
                        "-x",
                        "disk",
                        "-k",
                        folder.resolve("s").toString(),
                        disk.toString());
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void nbdinfo_sees_extended_headers_and_the_map_of_a_large_disk() throws IOException {
        JsonNode info = new ObjectMapper().readTree(run("nbdinfo", "--json", server.uri()));
        assertTrue(info.path("extended").asBoolean(), info::toString);
        JsonNode export = info.path("exports").path(0);
        assertEquals(SIZE, export.path("export-size").asLong());
        for (String can : List.of("multi_conn", "fast_zero", "cache", "trim", "fua", "df")) {
            assertTrue(export.path("can_" + can).asBoolean(), () -> can + " in " + export);
        }
        String map =
                run("nbdinfo", "--map", server.uri())
                        .replaceAll("(?m)^ +", "")
                        .replaceAll(" +", " ");
        assertEquals(
                "0 %d 0 data\n%d %d 3 hole,zero\n%d %d 0 data\n"
                        .formatted(
                                DATA_BYTES,
                                DATA_BYTES,
                                SIZE - 2L * DATA_BYTES,
                                SIZE - DATA_BYTES,
                                DATA_BYTES),
                map);
    }

    @Test
    void one_request_describes_or_zeroes_more_than_4_gib() {
        nbdsh(
                "assert h.get_extended_headers_negotiated()",
                "assert h.can_block_status_payload()",
                "seen = []",
                "note = lambda name, offset, entries, error: seen.append((name, entries))",
                "h.block_status_64(8 << 30, 4 << 20, note)",
                "assert seen == [('base:allocation', [(8 << 30, 3)])], seen",
                "seen.clear()",
                "h.block_status_filter(8 << 30, 4 << 20, ['base:allocation'], note)",
                "assert seen == [('base:allocation', [(8 << 30, 3)])], seen",
                "assert h.pread(4096, 3 << 20) != bytearray(4096)",
                "h.zero(5 << 30, 2 << 20)",
                "h.trim(5 << 30, 2 << 20)",
                "h.flush()",
                "assert h.pread(4096, 1 << 20) != bytearray(4096)",
                "assert h.pread(4096, 3 << 20) == bytearray(4096)");
    }

    @Test
    void qemu_img_10_and_nbdcopy_1_22_copy_a_sparse_disk_both_ways() throws IOException {
        Path copy = folder.resolve("copy.raw");
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", server.uri(), copy.toString());
        assertSame(server.uri(), copy.toString());
        assertSparse(copy);
        Files.delete(copy);
        run("nbdcopy", server.uri(), copy.toString());
        assertSame(server.uri(), copy.toString());
        assertSparse(copy);
        Path other = folder.resolve("other.raw");
        make(other, SIZE);
        run("nbdcopy", "--flush", other.toString(), server.uri());
        assertSame(other.toString(), server.uri());
        assertSparse(disk);
    }

    @Test
    void our_client_copies_from_and_to_qemu_nbd_10() throws IOException {
        Path file = folder.resolve("theirs.raw");
        make(file, SIZE);
        Path socket = folder.resolve("theirs");
        try (PeerServer peer =
                PeerServer.start(
                        socket,
                        Debian13.program("qemu-nbd"),
                        "-f",
                        "raw",
                        "-t",
                        "-e",
                        "9",
                        "--discard=unmap",
                        "-k",
                        socket.toString(),
                        file.toString())) {
            copyFromAndTo(peer.uri(), file);
        }
        assertHoldsOurDisk(file);
    }

    @Test
    void our_client_copies_from_and_to_nbdkit_1_42() throws IOException {
        Path file = folder.resolve("theirs.raw");
        make(file, SIZE);
        Path socket = folder.resolve("theirs");
        try (PeerServer peer =
                PeerServer.start(
                        socket,
                        Debian13.program("nbdkit"),
                        "-f",
                        "-U",
                        socket.toString(),
                        "file",
                        file.toString())) {
            copyFromAndTo(peer.uri(), file);
        }
        assertHoldsOurDisk(file);
    }

    private void copyFromAndTo(String uri, Path file) throws IOException {
        Path copy = folder.resolve("copy.raw");
        Lockstep.succeed("copy", uri, copy.toString());
        assertSame(file.toString(), copy.toString());
        assertSparse(copy);
        Lockstep.succeed("copy", "--flush", server.uri(), uri);
    }

    private void assertHoldsOurDisk(Path file) throws IOException {
        assertSame(file.toString(), server.uri());
        assertSparse(file);
    }

    /// A few MiB at each end, and nothing between.
    private static void make(Path file, long size) throws IOException {
        byte[] bytes = new byte[DATA_BYTES];
        try (RandomAccessFile made = new RandomAccessFile(file.toFile(), "rw")) {
            made.setLength(size);
            new Random(file.hashCode()).nextBytes(bytes);
            made.write(bytes);
            made.seek(size - DATA_BYTES);
            made.write(bytes);
        }
    }

    private static void assertSparse(Path file) {
        String blocks = Peer.run("stat", "-c", "%b", file.toString()).expectSuccess().output();
        long allocated = Long.parseLong(blocks.strip()) * 512;
        assertTrue(allocated < 4L * DATA_BYTES, () -> file + " takes " + allocated);
    }

    private static void assertSame(String one, String other) {
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", one, other);
    }

    private static String run(String program, String... arguments) {
        return Debian13.run(program, arguments).expectSuccess().output();
    }

    private void nbdsh(String... lines) {
        run("nbdsh", "--base-allocation", "-u", server.uri(), "-c", String.join("\n", lines));
    }
}
