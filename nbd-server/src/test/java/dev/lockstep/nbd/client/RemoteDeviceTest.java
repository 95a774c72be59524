package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

class RemoteDeviceTest {
    private static final int MIB = 1 << 20;

    @TempDir Path folder;

    @Test
    void what_is_written_to_qemu_nbd_is_read_back_and_lies_in_its_file() throws Exception {
        Path disk = rawDisk(64 * MIB);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString());
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(64 * MIB, device.size());
            byte[] bytes = random(1, 3 * MIB + 512);
            device.write(4096, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            device.flush();
            assertArrayEquals(bytes, read(device, 4096, bytes.length));
            byte[] whole = Files.readAllBytes(disk);
            assertArrayEquals(bytes, Arrays.copyOfRange(whole, 4096, 4096 + bytes.length));
        }
    }

    @Test
    void a_tcp_server_is_reached_like_one_on_a_unix_socket() throws Exception {
        Path disk = rawDisk(MIB);
        try (PeerServer server = PeerServer.qemuNbdOverTcp(folder, disk.toString());
                RemoteDevice device = RemoteDevice.open(server.options())) {
            byte[] bytes = random(2, 8192);
            device.write(0, direct(bytes), WriteFlag.DURABLE);
            assertArrayEquals(bytes, read(device, 0, bytes.length));
        }
    }

    @Test
    void zeroes_holes_and_data_are_told_apart() throws Exception {
        Path disk = rawDisk(16 * MIB);
        try (PeerServer server = PeerServer.qemuNbd(folder, "--discard=unmap", disk.toString());
                RemoteDevice device = RemoteDevice.open(server.options())) {
            device.write(0, ByteBuffer.wrap(random(3, MIB)), WriteFlag.NONE);
            device.write(4 * MIB, ByteBuffer.wrap(random(4, MIB)), WriteFlag.NONE);
            assertEquals(
                    List.of(
                            Extent.of(0, MIB, Extent.Kind.DATA),
                            Extent.of(MIB, 3 * MIB, Extent.Kind.HOLE),
                            Extent.of(4 * MIB, MIB, Extent.Kind.DATA),
                            Extent.of(5 * MIB, 11 * MIB, Extent.Kind.HOLE)),
                    allExtents(device));
            device.zero(0, MIB, WriteFlag.UNMAP);
            device.discard(4 * MIB, MIB);
            assertEquals(List.of(Extent.of(0, 16 * MIB, Extent.Kind.HOLE)), allExtents(device));
            assertArrayEquals(new byte[MIB], read(device, 0, MIB));
        }
    }

    @Test
    @Shows("status.client-selects")
    void a_server_without_contexts_has_data_everywhere() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "--no-sr", "memory", "1M");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(List.of(Extent.of(0, MIB, Extent.Kind.DATA)), device.extents(0, MIB));
            byte[] bytes = random(5, 100_000);
            device.write(1, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            assertArrayEquals(bytes, read(device, 1, bytes.length));
        }
    }

    @Test
    @Shows("flags.client")
    void an_export_that_is_read_only_says_so_and_is_not_written_to() throws Exception {
        try (PeerServer server = PeerServer.nbdkit(folder, "-r", "memory", "1M");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertTrue(device.capabilities().readOnly());
            assertEquals(
                    Kind.READ_ONLY,
                    failure(() -> new Gate(device).write(0, ByteBuffer.allocate(9), WriteFlag.NONE))
                            .kind());
            assertEquals(
                    Kind.INVALID,
                    failure(() -> device.write(0, ByteBuffer.allocate(9), WriteFlag.NONE)).kind());
        }
    }

    @Test
    @Shows("zeroes.client")
    void capabilities_follow_the_servers_flags() throws Exception {
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder, "--filter=nozero", "--filter=fua", "memory", "1M");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(Support.NONE, device.capabilities().zero());
            assertEquals(Support.NONE, device.capabilities().fua());
            assertEquals(Support.NATIVE, device.capabilities().discard());
            Gate gate = new Gate(device);
            gate.write(0, ByteBuffer.wrap(random(6, 4096)), WriteFlag.DURABLE);
            gate.zero(512, 1024, EnumSet.of(WriteFlag.FUA));
            assertArrayEquals(new byte[1024], read(gate, 512, 1024));
        }
    }

    @Test
    @Shows({"size.client-asks", "size.client-payload"})
    void a_minimum_block_size_becomes_the_alignment_and_a_maximum_splits_requests()
            throws Exception {
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder,
                                "--filter=blocksize-policy",
                                "memory",
                                "1M",
                                "blocksize-minimum=512",
                                "blocksize-preferred=4096",
                                "blocksize-maximum=64K",
                                "blocksize-error-policy=error");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(512, device.capabilities().alignment());
            byte[] bytes = random(7, 300 * 1024);
            device.write(512, direct(bytes), WriteFlag.NONE);
            assertArrayEquals(bytes, read(device, 512, bytes.length));
        }
    }

    @Test
    void a_fast_zero_that_would_be_slow_is_refused() throws Exception {
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder,
                                "--filter=nozero",
                                "memory",
                                "1M",
                                "zeromode=emulate",
                                "fastzeromode=slow");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            assertEquals(
                    Kind.UNSUPPORTED,
                    failure(() -> device.zero(0, MIB, EnumSet.of(WriteFlag.FAST))).kind());
        }
    }

    @Test
    void an_error_reply_fails_its_request_alone() throws Exception {
        Path trigger = folder.resolve("trigger");
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder,
                                "--filter=error",
                                "memory",
                                "1M",
                                "error-pwrite=ENOSPC",
                                "error-pwrite-rate=100%",
                                "error-pwrite-file=" + trigger);
                RemoteDevice device = RemoteDevice.open(server.options())) {
            Files.createFile(trigger);
            BlockException refused =
                    failure(() -> device.write(512, ByteBuffer.allocate(512), WriteFlag.NONE));
            assertEquals(Kind.NO_SPACE, refused.kind());
            assertSays("write of 512 bytes at 0x200", refused);
            assertSays("ENOSPC", refused);
            Files.delete(trigger);
            device.write(512, ByteBuffer.allocate(512), WriteFlag.NONE);
        }
    }

    @Test
    void an_unknown_export_and_an_absent_server_are_named() throws Exception {
        Path disk = rawDisk(MIB);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString())) {
            var uri = new NbdUri(server.uri().address(), "nope");
            BlockException unknown = failure(() -> RemoteDevice.open(RemoteOptions.of(uri)));
            assertEquals(Kind.INVALID, unknown.kind());
            assertSays("no export 'nope'", unknown);
            server.kill();
            assertEquals(Kind.GONE, failure(() -> RemoteDevice.open(server.options())).kind());
        }
    }

    @Test
    @Shows("flags.multi-conn-client")
    void several_connections_are_opened_where_a_flush_covers_them_all() throws Exception {
        Path disk = rawDisk(8 * MIB);
        try (PeerServer server = PeerServer.qemuNbd(folder, "--shared=8", disk.toString());
                RemoteDevice device = RemoteDevice.open(server.options().withConnections(4))) {
            boolean offered =
                    NbdConnection.connect(server.options(), _ -> {})
                            .export()
                            .has(NbdProtocol.FLAG_CAN_MULTI_CONN);
            assertEquals(offered ? 4 : 1, device.connections());
        }
        try (PeerServer server = PeerServer.nbdkit(folder, "memory", "8M");
                RemoteDevice device = RemoteDevice.open(server.options().withConnections(4))) {
            assertEquals(4, device.connections());
            manyThreadsWriteAndReadTheirOwnRanges(device);
        }
    }

    @Test
    void many_threads_share_a_connection_with_fewer_slots() throws Exception {
        Path disk = rawDisk(8 * MIB);
        try (PeerServer server = PeerServer.qemuNbd(folder, disk.toString());
                RemoteDevice device = RemoteDevice.open(server.options().withMaxInFlight(7))) {
            manyThreadsWriteAndReadTheirOwnRanges(device);
        }
    }

    @Test
    void a_write_can_be_started_and_awaited_later() throws Exception {
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder, "--filter=delay", "memory", "1M", "wdelay=300ms");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            ByteBuffer source = ByteBuffer.wrap(random(8, 4096));
            Pending pending = device.startWrite(0, source, WriteFlag.NONE);
            assertArrayEquals(new byte[4096], read(device, 0, 4096));
            assertEquals(0, source.position());
            pending.await();
            assertArrayEquals(source.array(), read(device, 0, 4096));
        }
    }

    @Test
    void an_interrupt_neither_ends_a_request_nor_is_lost() throws Exception {
        try (PeerServer server =
                        PeerServer.nbdkit(
                                folder, "--filter=delay", "memory", "1M", "wdelay=100ms");
                RemoteDevice device = RemoteDevice.open(server.options())) {
            Thread.currentThread().interrupt();
            device.write(0, ByteBuffer.wrap(random(9, 4096)), WriteFlag.NONE);
            assertTrue(Thread.interrupted());
            assertArrayEquals(random(9, 4096), read(device, 0, 4096));
        }
    }

    @Test
    void a_host_that_is_not_known_is_named() throws Exception {
        NbdUri uri = NbdUri.parse("nbd://no-such-host.invalid/x");
        assertSays(
                "its host is not known", failure(() -> RemoteDevice.open(RemoteOptions.of(uri))));
    }

    private static void manyThreadsWriteAndReadTheirOwnRanges(RemoteDevice device)
            throws Exception {
        int threads = 64;
        int span = (int) (device.size() / threads);
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> results = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                int number = thread;
                Callable<Object> work =
                        () -> {
                            workOn(device, (long) number * span, span, number);
                            return number;
                        };
                results.add(executor.submit(work));
            }
            for (Future<?> result : results) {
                result.get();
            }
        }
    }

    private static void workOn(RemoteDevice device, long start, int span, int seed)
            throws BlockException {
        Random random = new Random(seed);
        byte[] model = new byte[span];
        for (int step = 0; step < 60; step++) {
            int at = random.nextInt(span - 1);
            int length = 1 + random.nextInt(Math.min(span - at, 40_000));
            if (random.nextBoolean()) {
                byte[] bytes = random(random.nextLong(), length);
                System.arraycopy(bytes, 0, model, at, length);
                ByteBuffer source = random.nextBoolean() ? direct(bytes) : ByteBuffer.wrap(bytes);
                device.write(start + at, source, WriteFlag.NONE);
            } else {
                assertArrayEquals(
                        Arrays.copyOfRange(model, at, at + length),
                        read(device, start + at, length),
                        "seed " + seed + " step " + step);
            }
        }
    }

    private static List<Extent> allExtents(RemoteDevice device) throws BlockException {
        List<Extent> all = new ArrayList<>();
        for (long at = 0; at < device.size(); at = all.getLast().end()) {
            for (Extent extent : device.extents(at, device.size() - at)) {
                if (!all.isEmpty() && all.getLast().kind() == extent.kind()) {
                    Extent last = all.removeLast();
                    all.add(Extent.of(last.offset(), extent.end() - last.offset(), last.kind()));
                } else {
                    all.add(extent);
                }
            }
        }
        return all;
    }

    private Path rawDisk(long bytes) throws IOException {
        Path disk = Files.createTempFile(folder, "disk", ".raw");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(bytes);
        }
        return disk;
    }

    private static BlockException failure(Executable action) {
        return assertThrows(BlockException.class, action);
    }

    private static void assertSays(String part, BlockException failure) {
        String message = String.valueOf(failure.getMessage());
        assertTrue(message.contains(part), message);
    }

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    private static byte[] read(BlockDevice device, long offset, int length) throws BlockException {
        ByteBuffer target = ByteBuffer.allocateDirect(length);
        device.read(offset, target);
        byte[] bytes = new byte[length];
        target.flip().get(bytes);
        return bytes;
    }
}
