package dev.lockstep.block.filter.snapshotaccess;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class SnapshotAccessTest {
    private static final int DISK_BYTES = (1 << 20) + 512;

    @TempDir Path folder;
    private final byte[] before = new byte[DISK_BYTES];
    private final Random random = new Random(Seeds.next("SnapshotAccessTest"));

    @BeforeEach
    void makeDisks() throws IOException {
        random.nextBytes(before);
        Files.write(folder.resolve("disk"), before);
        Files.write(folder.resolve("target"), new byte[DISK_BYTES]);
    }

    private String options(String... more) {
        return "driver=snapshot-access,file.driver=copy-before-write,file.node-name=guest,file.file.driver=file,file.file.filename=%s/disk,%s"
                .formatted(folder, String.join(",", more));
    }

    private String target() {
        return "file.target.driver=file,file.target.filename=%s/target".formatted(folder);
    }

    @Test
    void it_shows_the_disk_as_it_was_whatever_the_guest_does_to_it() throws Exception {
        try (Tree tree = Tree.of(options(target(), "file.detect-zeroes=on"))) {
            Gate guest = tree.connect("guest");
            Script script =
                    Script.random(random, List.of(Script.Kind.values()), 100, DISK_BYTES, 512);
            Thread other = Thread.ofVirtual().start(() -> script.run(guest));
            for (int round = 0; round < 20; round++) {
                assertArrayEquals(before, DiskModel.read(tree.gate(), 0, DISK_BYTES));
            }
            other.join();
            assertArrayEquals(before, DiskModel.read(tree.gate(), 0, DISK_BYTES));
            assertTrue(tree.gate().capabilities().readOnly());
            tree.disconnect(guest);
        }
    }

    /// The target can take nothing.
    private String brokenTarget() {
        return "file.target.driver=blkdebug,file.target.inject-error.0.event=none,file.target.inject-error.0.iotype=write,file.target.image.driver=file,file.target.image.filename=%s/target"
                .formatted(folder);
    }

    @Test
    void a_write_is_refused_whose_old_bytes_cannot_be_kept() throws Exception {
        try (Tree tree = Tree.of(options(brokenTarget()))) {
            Gate guest = tree.connect("guest");
            assertEquals(Kind.IO, assertThrows(BlockException.class, () -> write(guest)).kind());
            assertArrayEquals(before, DiskModel.read(tree.gate(), 0, DISK_BYTES));
            assertArrayEquals(before, Files.readAllBytes(folder.resolve("disk")));
            tree.disconnect(guest);
        }
    }

    @Test
    void or_the_write_goes_on_and_the_snapshot_says_that_it_is_lost() throws Exception {
        String breaks = "file.on-cbw-error=break-snapshot";
        try (Tree tree = Tree.of(options(brokenTarget(), breaks))) {
            Gate guest = tree.connect("guest");
            write(guest);
            write(guest);
            BlockException lost =
                    assertThrows(BlockException.class, () -> DiskModel.read(tree.gate(), 0, 512));
            assertTrue(lost.getMessage().contains("the snapshot is lost"), lost.getMessage());
            assertEquals(0, DiskModel.read(guest, 0, 512)[0]);
            tree.disconnect(guest);
        }
    }

    @Test
    void a_copy_that_takes_too_long_counts_as_failed_and_ends_before_the_disks_are_closed()
            throws Exception {
        String slow =
                "file.cbw-timeout=1,file.target.driver=delay,file.target.write-latency=1300,file.target.file.driver=file,file.target.file.filename=%s/target"
                        .formatted(folder);
        try (Tree tree = Tree.of(options(slow))) {
            Gate guest = tree.connect("guest");
            BlockException late = assertThrows(BlockException.class, () -> write(guest));
            assertEquals(Kind.TIMEOUT, late.kind());
            assertTrue(late.getMessage().endsWith("longer than 1 s"), late.getMessage());
            assertArrayEquals(before, DiskModel.read(tree.gate(), 0, DISK_BYTES));
            tree.disconnect(guest);
        }
        byte[] kept = Files.readAllBytes(folder.resolve("target"));
        assertArrayEquals(Arrays.copyOf(before, 512), Arrays.copyOf(kept, 512));
    }

    private static void write(Gate guest) throws BlockException {
        guest.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
    }

    @Test
    void what_keeps_no_snapshot_or_cannot_take_one_is_refused_with_a_reason() throws Exception {
        assertTrue(
                refusal("driver=snapshot-access,file.driver=memory")
                        .contains("'file' keeps no snapshot"));
        Files.write(folder.resolve("target"), new byte[512]);
        assertTrue(refusal(options(target())).contains("the target must be as long"));
    }

    private static String refusal(String options) {
        return assertThrows(BlockException.class, () -> Tree.of(options).close()).getMessage();
    }
}
