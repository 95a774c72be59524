package dev.lockstep.block.qcow2.bitmaps;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.Qcow2Options;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;

/// Bitmaps that qemu-img made, kept by us, beside what QEMU makes of them.
class ImageBitmapsTest {
    private static final int SIZE = 16 << 20;

    @TempDir Path folder;
    private Path image;

    /// With clusters of 512 bytes a bitmap of 32768 bits is eight clusters.
    @BeforeEach
    void makeImage() throws Exception {
        image = folder.resolve("d.qcow2");
        make("cluster_size=512");
    }

    private void make(String options) throws Exception {
        Host.run("qemu-img", "create", "-f", "qcow2", "-o", options, image.toString(), "16M");
        Host.run("qemu-img", "bitmap", "--add", "-g", "512", image.toString(), "on");
        Host.run("qemu-img", "bitmap", "--add", "--disable", image.toString(), "off");
    }

    @Test
    void what_is_written_is_recorded_and_stored_when_the_image_is_closed() throws Exception {
        qemuIo("write 1M 1k");
        try (Disk disk = Disk.open(image, false)) {
            disk.gate().write(2 << 20, ByteBuffer.allocate(1025), WriteFlag.NONE);
            disk.gate().zero(3 << 20, 512, Set.of());
            disk.gate().discard(4 << 20, 1 << 20);
            assertEquals(
                    List.of("1048576+1024", "2097152+1536", "3145728+512", "4194304+1048576"),
                    disk.dirty("on"));
            assertEquals(List.of(), disk.dirty("off"));
        }
        checkClean();
        try (Disk disk = Disk.open(image, true)) {
            assertEquals(
                    List.of("1048576+1024", "2097152+1536", "3145728+512", "4194304+1048576"),
                    disk.dirty("on"));
            PersistentBitmap on = disk.bitmap("on");
            assertTrue(on.isEnabled());
            assertTrue(on.isConsistent());
            assertEquals(512, on.granularity());
            assertFalse(disk.bitmap("off").isEnabled());
            assertEquals(4096, disk.bitmap("off").granularity());
        }
    }

    @Test
    void a_bitmap_says_that_it_is_in_use_as_long_as_the_image_is_open_for_writing()
            throws Exception {
        try (Disk _ = Disk.open(image, true)) {
            assertEquals("auto", flags("on"));
        }
        try (Disk _ = Disk.open(image, false)) {
            assertEquals("in-use,auto", flags("on"));
            assertEquals("", flags("off"));
        }
        assertEquals("auto", flags("on"));
    }

    @Test
    void a_bitmap_that_was_not_saved_is_not_believed_and_stays_so() throws Exception {
        Path crashed = folder.resolve("crashed.qcow2");
        try (Disk disk = Disk.open(image, false)) {
            disk.gate().write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
            disk.gate().flush();
            Files.copy(image, crashed);
        }
        Files.move(crashed, image, StandardCopyOption.REPLACE_EXISTING);
        for (boolean readOnly : new boolean[] {true, false}) {
            try (Disk disk = Disk.open(image, readOnly)) {
                PersistentBitmap on = disk.bitmap("on");
                assertFalse(on.isConsistent());
                assertThrows(BlockException.class, on::bits);
                assertEquals(List.of(), disk.dirty("off"));
            }
        }
        assertEquals("in-use,auto", flags("on"));
    }

    @Test
    void bitmaps_of_an_image_that_a_stranger_wrote_to_are_gone() throws Exception {
        // The autoclear bits, as somebody leaves them who knows none.
        try (FileDevice file = FileDevice.open(FileOptions.of(image))) {
            new Gate(file).write(88, ByteBuffer.allocate(8), WriteFlag.NONE);
        }
        try (Disk disk = Disk.open(image, false)) {
            assertEquals(List.of(), disk.device().bitmaps().all());
            disk.gate().write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
        }
        assertTrue(List.of(0, 3).contains(check().status()), check().output());
    }

    @Test
    void random_writes_leave_the_same_bitmap_as_qemus() throws Exception {
        for (String options : List.of("cluster_size=512", "lazy_refcounts=on", "cluster_size=2M")) {
            long seed = Seeds.next("ImageBitmapsTest " + options);
            Random random = new Random(seed);
            Files.delete(image);
            make(options);
            Path theirs = folder.resolve("theirs.qcow2");
            Files.copy(image, theirs, StandardCopyOption.REPLACE_EXISTING);
            List<String> commands = new ArrayList<>(List.of("qemu-io", "-f", "qcow2"));
            for (int session = 0; session < 3; session++) {
                try (Disk disk = Disk.open(image, false)) {
                    for (int step = 0; step < 20; step++) {
                        int length = 1 + random.nextInt(200_000);
                        int offset = random.nextInt(SIZE - length);
                        ByteBuffer data = ByteBuffer.allocate(length);
                        disk.gate().write(offset, data, WriteFlag.NONE);
                        commands.addAll(List.of("-c", "write %d %d".formatted(offset, length)));
                    }
                }
                checkClean();
            }
            commands.add(theirs.toString());
            Host.run(commands.toArray(String[]::new));
            try (Disk ours = Disk.open(image, true);
                    Disk other = Disk.open(theirs, true)) {
                assertEquals(other.dirty("on"), ours.dirty("on"));
            }
            // QEMU reads what we stored: merged into an empty one it is the same again.
            Host.run("qemu-img", "bitmap", "--add", "-g", "512", image.toString(), "copy");
            Host.run("qemu-img", "bitmap", "--merge", "on", image.toString(), "copy");
            try (Disk ours = Disk.open(image, true)) {
                assertEquals(ours.dirty("on"), ours.dirty("copy"));
            }
        }
    }

    private String flags(String name) throws Exception {
        String info = Host.run("qemu-img", "info", "-U", "--output=json", image.toString());
        String packed = info.replaceAll("\\s", "");
        String entry = packed.substring(0, packed.indexOf("\"name\":\"%s\"".formatted(name)));
        String list = entry.substring(entry.lastIndexOf("\"flags\":[") + 9);
        return list.substring(0, list.indexOf(']')).replace("\"", "");
    }

    private void qemuIo(String command) throws Exception {
        Host.run("qemu-io", "-f", "qcow2", "-c", command, image.toString());
    }

    private Host.Outcome check() throws Exception {
        return Host.outcome("qemu-img", "check", image.toString());
    }

    private void checkClean() throws Exception {
        assertEquals(0, check().status(), check().output());
    }

    /// An image that is open.
    private record Disk(FileDevice file, Qcow2Device device) implements AutoCloseable {
        static Disk open(Path image, boolean readOnly) throws BlockException {
            FileOptions options = FileOptions.of(image);
            FileDevice file = FileDevice.open(readOnly ? options.asReadOnly() : options);
            return new Disk(
                    file,
                    Qcow2Device.open(
                            readOnly ? Gate.readOnly(file) : new Gate(file),
                            null,
                            null,
                            Qcow2Options.DEFAULTS,
                            readOnly));
        }

        Gate gate() {
            return new Gate(device);
        }

        PersistentBitmap bitmap(String name) throws BlockException {
            PersistentBitmap bitmap = device.bitmaps().find(name);
            if (bitmap == null) {
                throw new AssertionError("there is no bitmap " + name);
            }
            return bitmap;
        }

        /// Offset and length of each dirty range.
        List<String> dirty(String name) throws BlockException {
            PersistentBitmap bitmap = bitmap(name);
            ClusterBitmap bits = bitmap.bits();
            List<String> ranges = new ArrayList<>();
            for (long at = bits.nextSet(0); at < bits.size(); ) {
                long end = bits.nextClear(at);
                ranges.add(at * bitmap.granularity() + "+" + (end - at) * bitmap.granularity());
                at = bits.nextSet(end);
            }
            return ranges;
        }

        @Override
        public void close() throws BlockException {
            try {
                device.close();
            } finally {
                file.close();
            }
        }
    }
}
