package dev.lockstep.block.file;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileOptions.Discard;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// What is particular to files, on a file system with disks (the build folder's) and on tmpfs.
class FileDeviceTest {
    private static final int MIB = 1 << 20;

    @TempDir(factory = OnDisk.class)
    Path folder;

    @Test
    void bytes_written_are_in_the_file_and_are_read_back() throws IOException {
        Path path = sparse("disk.raw", MIB);
        try (FileDevice device = FileDevice.open(FileOptions.of(path))) {
            device.write(5000, pattern(3000), WriteFlag.NONE);
            device.flush();
            assertArrayEquals(bytes(3000), read(device, 5000, 3000));
        }
        byte[] whole = Files.readAllBytes(path);
        assertArrayEquals(bytes(3000), Arrays.copyOfRange(whole, 5000, 8000));
        assertEquals(MIB, whole.length);
    }

    @Test
    void heap_buffers_work_like_direct_ones() throws IOException {
        try (FileDevice device = FileDevice.open(FileOptions.of(sparse("disk.raw", MIB)))) {
            device.write(77, ByteBuffer.wrap(bytes(600_000)), WriteFlag.NONE);
            ByteBuffer target = ByteBuffer.allocate(600_000);
            device.read(77, target);
            assertFalse(target.hasRemaining());
            assertArrayEquals(bytes(600_000), target.array());
        }
    }

    @Test
    void an_odd_length_is_rounded_up_and_the_rest_reads_as_zeroes() throws IOException {
        Path path = folder.resolve("odd.raw");
        Files.write(path, bytes(1000));
        try (FileDevice device = FileDevice.open(FileOptions.of(path))) {
            assertEquals(1024, device.size());
            assertArrayEquals(Arrays.copyOf(bytes(1000), 1024), read(device, 0, 1024));
            assertArrayEquals(new byte[10], read(device, 1014, 10));
            assertEquals(List.of(Extent.of(0, 1024, Extent.Kind.DATA)), device.extents(0, 1024));
            assertEquals(1000, Files.size(path), "reading does not change the length");
            device.write(1020, pattern(4), WriteFlag.NONE);
            assertEquals(1024, Files.size(path));
            assertArrayEquals(bytes(4), read(device, 1020, 4));
            assertArrayEquals(new byte[20], read(device, 1000, 20));
        }
    }

    @Test
    void a_file_made_shorter_meanwhile_is_an_error_and_not_zeroes() throws IOException {
        Path path = sparse("disk.raw", MIB);
        try (FileDevice device = FileDevice.open(FileOptions.of(path))) {
            Host.run("truncate", "-s", "4096", path.toString());
            BlockException thrown =
                    assertThrows(BlockException.class, () -> read(device, 8192, 512));
            assertTrue(thrown.toString().contains("shorter"), thrown.toString());
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void what_is_cached_is_read_now_and_what_is_not_waits_for_the_slow_path() throws Exception {
        Path path = folder.resolve("disk.raw");
        Files.write(path, bytes(MIB));
        Host.run("sync", path.toString());
        try (FileDevice device = FileDevice.open(FileOptions.of(path))) {
            ByteBuffer target = ByteBuffer.allocateDirect(4096);
            // The kernel does not promise to evict all at the first time.
            await().untilAsserted(
                            () -> {
                                Host.run("dd", "if=" + path, "iflag=nocache", "count=0");
                                assertFalse(device.readNow(65536, target.clear()), "evicted");
                            });
            assertEquals(0, target.position());
            assertArrayEquals(
                    Arrays.copyOfRange(bytes(MIB), 65536, 65536 + 4096), read(device, 65536, 4096));
            assertTrue(device.readNow(65536, target), "now it is cached");
            assertFalse(target.hasRemaining());
        }
    }

    @Test
    void whole_pages_are_written_now_and_nothing_else_is() throws IOException {
        try (FileDevice device = FileDevice.open(FileOptions.of(sparse("disk.raw", MIB)))) {
            assertTrue(device.writeNow(8192, pattern(4096)));
            assertArrayEquals(bytes(4096), read(device, 8192, 4096));
            assertFalse(device.writeNow(8192 + 512, pattern(4096)), "begins inside a page");
            assertFalse(device.writeNow(8192, pattern(512)), "ends inside a page");
            assertFalse(device.writeNow(0, pattern(512 << 10)), "is too long");
        }
    }

    @Test
    void modes_that_wait_for_the_disk_never_write_now() throws IOException {
        Path path = sparse("disk.raw", MIB);
        for (CacheMode mode :
                List.of(CacheMode.NONE, CacheMode.WRITETHROUGH, CacheMode.DIRECTSYNC)) {
            try (FileDevice device = FileDevice.open(FileOptions.of(path).with(mode))) {
                assertFalse(device.writeNow(0, pattern(4096)), mode.name());
            }
        }
    }

    @Test
    void files_in_memory_are_read_and_written_now_at_any_alignment() throws IOException {
        try (FileDevice device = FileDevice.inMemory("test", MIB)) {
            ByteBuffer source = pattern(1234);
            assertTrue(device.writeNow(77, source));
            assertFalse(source.hasRemaining());
            ByteBuffer target = ByteBuffer.allocateDirect(1234);
            assertTrue(device.readNow(77, target));
            assertArrayEquals(bytes(1234), array(target.flip()));
        }
    }

    @Test
    void direct_io_says_how_it_must_be_aligned_and_works_when_it_is() throws IOException {
        Path path = sparse("disk.raw", MIB);
        FileOptions options = FileOptions.of(path).with(CacheMode.NONE);
        try (FileDevice device = FileDevice.open(options)) {
            int alignment = device.capabilities().alignment();
            assertTrue(alignment >= 512, "alignment " + alignment);
            assertTrue(device.capabilities().alignedBuffers());
            ByteBuffer source = ByteBuffer.allocateDirect(16384).alignedSlice(4096);
            source.put(bytes(8192)).flip();
            device.write(4096, source, WriteFlag.NONE);
            ByteBuffer target = ByteBuffer.allocateDirect(16384).alignedSlice(4096).limit(8192);
            device.read(4096, target);
            assertArrayEquals(bytes(8192), array(target.flip()));
        }
    }

    @Test
    void requests_of_virtual_threads_that_must_wait_go_through_the_pool() throws Exception {
        try (FileDevice device = FileDevice.open(FileOptions.of(sparse("disk.raw", MIB)));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<byte[]>> results = new ArrayList<>();
            for (int index = 0; index < 64; index++) {
                int offset = index * 10_000 + 1;
                results.add(
                        threads.submit(
                                () -> {
                                    device.write(offset, pattern(9_000), WriteFlag.NONE);
                                    device.flush();
                                    return read(device, offset, 9_000);
                                }));
            }
            for (Future<byte[]> result : results) {
                assertArrayEquals(bytes(9_000), result.get());
            }
        }
    }

    @Test
    void zeroing_with_unmap_leaves_a_hole_and_without_it_keeps_the_space() throws Exception {
        Path path = folder.resolve("disk.raw");
        Files.write(path, bytes(MIB));
        try (FileDevice device = FileDevice.open(FileOptions.of(path))) {
            device.flush();
            device.zero(0, 65536, WriteFlag.UNMAP);
            device.zero(131072, 65536, WriteFlag.NONE);
            assertArrayEquals(new byte[65536], read(device, 0, 65536));
            assertArrayEquals(new byte[65536], read(device, 131072, 65536));
            assertEquals(Extent.of(0, 65536, Extent.Kind.HOLE), device.extents(0, MIB).getFirst());
            long blocks = Long.parseLong(Host.run("stat", "-c", "%b", path.toString()));
            assertEquals(MIB - 65536, blocks * 512);
        }
    }

    @Test
    void on_tmpfs_a_zero_that_must_keep_its_space_is_left_to_the_gate() throws IOException {
        try (FileDevice device = FileDevice.inMemory("test", MIB)) {
            BlockException thrown =
                    assertThrows(BlockException.class, () -> device.zero(0, 4096, WriteFlag.NONE));
            assertEquals(Kind.UNSUPPORTED, thrown.kind());
            device.write(0, pattern(8192), WriteFlag.NONE);
            device.zero(0, 4096, WriteFlag.UNMAP);
            assertArrayEquals(new byte[4096], read(device, 0, 4096));
        }
    }

    @Test
    void a_discard_releases_space_unless_it_is_ignored() throws IOException {
        Path path = folder.resolve("disk.raw");
        Files.write(path, bytes(MIB));
        FileOptions options = FileOptions.of(path);
        try (FileDevice device = FileDevice.open(options)) {
            device.discard(0, 65536);
            assertEquals(
                    Extent.of(0, 65536, Extent.Kind.HOLE), device.extents(0, 65536).getFirst());
        }
        try (FileDevice device = FileDevice.open(options.with(Discard.IGNORE))) {
            assertEquals(Support.NONE, device.capabilities().discard());
        }
    }

    @Test
    void extents_alternate_between_data_and_holes() throws IOException {
        try (FileDevice device = FileDevice.open(FileOptions.of(sparse("disk.raw", MIB)))) {
            device.write(131072, pattern(65536), WriteFlag.NONE);
            assertEquals(
                    List.of(
                            Extent.of(0, 131072, Extent.Kind.HOLE),
                            Extent.of(131072, 65536, Extent.Kind.DATA),
                            Extent.of(196608, MIB - 196608, Extent.Kind.HOLE)),
                    device.extents(0, MIB));
            assertEquals(
                    List.of(Extent.of(140000, 10, Extent.Kind.DATA)), device.extents(140000, 10));
        }
    }

    @Test
    void a_file_that_cannot_be_opened_is_explained_in_one_sentence() throws IOException {
        assertRefused(FileOptions.of(folder.resolve("none.raw")), "No such file");
        assertRefused(FileOptions.of(folder), "is a directory");
        assertRefused(FileOptions.of(folder).asReadOnly(), "is a directory");
        assertRefused(FileOptions.of(Path.of("/dev/null")), "neither a regular file");
        Path fifo = folder.resolve("fifo");
        try {
            Host.run("mkfifo", fifo.toString());
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        assertRefused(FileOptions.of(fifo).asReadOnly(), "neither a regular file");
        assertRefused(
                FileOptions.of(Path.of("/sys/devices/system/cpu/online")), "open it read-only");
    }

    @Test
    void creating_a_file_refuses_to_replace_one() throws IOException {
        Path path = folder.resolve("new.raw");
        try (FileDevice device = FileDevice.create(FileOptions.of(path), MIB)) {
            assertEquals(MIB, device.size());
        }
        BlockException thrown =
                assertThrows(
                        BlockException.class, () -> FileDevice.create(FileOptions.of(path), MIB));
        assertTrue(thrown.toString().contains("File exists"), thrown.toString());
    }

    @Test
    void a_closed_device_touches_no_file_any_more() throws IOException {
        FileDevice device = FileDevice.open(FileOptions.of(sparse("disk.raw", MIB)));
        device.close();
        device.close();
        assertEquals(
                Kind.GONE, assertThrows(BlockException.class, () -> read(device, 0, 512)).kind());
        assertFalse(device.readNow(0, ByteBuffer.allocateDirect(512)));
        assertFalse(device.writeNow(0, ByteBuffer.allocateDirect(4096)));
    }

    private void assertRefused(FileOptions options, String reason) {
        BlockException thrown =
                assertThrows(BlockException.class, () -> FileDevice.open(options).close());
        String message = String.valueOf(thrown.getMessage());
        assertTrue(message.contains(reason), message);
        assertTrue(message.contains(options.path().toString()), message);
        assertFalse(message.contains("\n"), message);
    }

    private Path sparse(String name, long length) throws IOException {
        Path path = folder.resolve(name);
        FileOpener.create(path, length);
        return path;
    }

    private static byte[] read(FileDevice device, long offset, int length) throws BlockException {
        ByteBuffer target = ByteBuffer.allocateDirect(length);
        device.read(offset, target);
        return array(target.flip());
    }

    private static byte[] array(ByteBuffer buffer) {
        byte[] array = new byte[buffer.remaining()];
        buffer.get(array);
        return array;
    }

    private static ByteBuffer pattern(int length) {
        return ByteBuffer.allocateDirect(length).put(bytes(length)).flip();
    }

    private static byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        for (int index = 0; index < length; index++) {
            bytes[index] = (byte) (index * 31 + index / 251 + 1);
        }
        return bytes;
    }
}
