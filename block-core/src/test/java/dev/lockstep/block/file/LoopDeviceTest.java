package dev.lockstep.block.file;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;

/// Block devices: the contract, and what is particular to them.
class LoopDeviceTest {
    private static final int MIB = 1 << 20;

    /// Makes loop devices and takes them away again.
    abstract static class WithLoops extends BlockDeviceContract {
        private final List<String> loops = new ArrayList<>();
        private final CacheMode mode;
        private final int sectorBytes;

        @TempDir Path folder = Path.of("");

        WithLoops(CacheMode mode, int sectorBytes) {
            this.mode = mode;
            this.sectorBytes = sectorBytes;
        }

        @Override
        protected int size() {
            return MIB + 3 * sectorBytes;
        }

        @Override
        protected int operations() {
            return 500;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws IOException {
            Path file = folder.resolve("disk-" + loops.size());
            Files.write(file, contents);
            return FileDevice.open(FileOptions.of(Path.of(attach(file))).with(mode));
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws IOException {
            device.close();
            return FileDevice.open(FileOptions.of(Path.of(loops.getLast())).with(mode));
        }

        String attach(Path file, String... options) throws IOException {
            List<String> command =
                    new ArrayList<>(
                            List.of(
                                    "losetup",
                                    "--find",
                                    "--show",
                                    "--sector-size",
                                    String.valueOf(sectorBytes)));
            command.addAll(List.of(options));
            command.add(file.toString());
            try {
                Host.Outcome outcome = Host.outcome(command.toArray(String[]::new));
                if (outcome.status() != 0) {
                    throw new AssertionError(
                            "this test needs loop devices, so root and the kernel's loop driver: "
                                    + outcome.output());
                }
                loops.add(outcome.output().strip());
                return loops.getLast();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }

        @AfterEach
        void detach() throws Exception {
            for (String loop : loops) {
                Host.run("losetup", "--detach", loop);
            }
        }
    }

    /// Through the page cache.
    @Nested
    class Writeback extends WithLoops {
        Writeback() {
            super(CacheMode.WRITEBACK, 512);
        }

        @Test
        void its_size_is_the_drives_and_it_is_data_throughout() throws Exception {
            try (BlockDevice device = create(new byte[MIB + 512])) {
                assertEquals(MIB + 512, device.size());
                assertEquals(
                        List.of(Extent.of(512, MIB, Extent.Kind.DATA)), device.extents(512, MIB));
            }
        }

        @Test
        void zeroing_an_odd_range_zeroes_exactly_that() throws Exception {
            byte[] contents = new byte[MIB];
            Arrays.fill(contents, (byte) 7);
            try (BlockDevice device = create(contents)) {
                device.zero(1000, 200_000, WriteFlag.UNMAP);
                device.zero(300_000, 100, WriteFlag.NONE);
                Arrays.fill(contents, 1000, 201_000, (byte) 0);
                Arrays.fill(contents, 300_000, 300_100, (byte) 0);
                ByteBuffer found = ByteBuffer.allocate(MIB);
                device.read(0, found);
                assertArrayEquals(contents, found.array());
                device.flush();
            }
            assertArrayEquals(contents, Files.readAllBytes(folder.resolve("disk-0")));
        }

        @Test
        void a_discard_releases_space_below() throws Exception {
            byte[] contents = new byte[MIB];
            Arrays.fill(contents, (byte) 7);
            try (BlockDevice device = create(contents)) {
                device.discard(0, MIB);
                device.flush();
            }
            String blocks = Host.run("stat", "-c", "%b", folder.resolve("disk-0").toString());
            assertEquals("0", blocks);
        }

        @Test
        void a_zero_that_must_be_fast_and_keep_its_space_is_refused() throws Exception {
            try (BlockDevice device = create(new byte[MIB])) {
                BlockException thrown =
                        assertThrows(
                                BlockException.class,
                                () -> device.zero(0, MIB, EnumSet.of(WriteFlag.FAST)));
                assertEquals(Kind.UNSUPPORTED, thrown.kind());
            }
        }

        @Test
        void a_write_protected_drive_is_refused_for_writing() throws Exception {
            Path file = Files.write(folder.resolve("disk-0"), new byte[MIB]);
            String loop = attach(file, "--read-only");
            FileOptions options = FileOptions.of(Path.of(loop));
            BlockException thrown =
                    assertThrows(BlockException.class, () -> FileDevice.open(options).close());
            assertTrue(thrown.toString().contains("open it read-only"), thrown.toString());
            FileDevice.open(options.asReadOnly()).close();
        }
    }

    /// Past the page cache.
    @Nested
    class Direct extends WithLoops {
        Direct() {
            super(CacheMode.NONE, 512);
        }
    }

    /// Past the page cache, on a drive that has no smaller sectors.
    @Nested
    class DirectWithLargeSectors extends WithLoops {
        DirectWithLargeSectors() {
            super(CacheMode.NONE, 4096);
        }

        @Test
        void its_alignment_is_the_drives() throws Exception {
            try (BlockDevice device = create(new byte[MIB])) {
                assertEquals(4096, device.capabilities().alignment());
            }
        }
    }
}
