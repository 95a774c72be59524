package dev.lockstep.block.filter.blklogwrites;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/// A history of an image that blklogwrites recorded, cut off after each of its entries: what the
/// guest flushed is there, and the image is sound.
class ReplayedCrashTest {
    private static final int DISK_BYTES = 256 << 10;
    private static final int OPERATIONS = 60;

    @TempDir Path folder;

    @Test
    void an_image_that_is_cut_off_after_any_entry_of_its_log_has_what_was_flushed()
            throws Exception {
        Random random = new Random(Seeds.next("ReplayedCrashTest"));
        Path image = folder.resolve("image");
        Path log = Files.createFile(folder.resolve("log"));
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=512",
                image.toString(),
                Integer.toString(DISK_BYTES));
        byte[] empty = Files.readAllBytes(image);
        LoggedHistory history = new LoggedHistory(random, log, new byte[DISK_BYTES]);
        try (Tree tree =
                Tree.open(
                        "driver=qcow2",
                        "l2-cache-entry-size=512",
                        "file.driver=blklogwrites",
                        "file.file.driver=file",
                        "file.file.filename=" + image,
                        "file.log.driver=file",
                        "file.log.filename=" + log)) {
            for (int count = 0; count < OPERATIONS; count++) {
                history.operate(tree.gate());
            }
        }
        int judged = history.judgeEach(empty, this::guestsView);
        assertTrue(judged > 2 * OPERATIONS, "the log has what the image wrote");
    }

    private byte[] guestsView(byte[] image) throws Exception {
        MemoryDevice file = new MemoryDevice(image.length);
        file.write(0, ByteBuffer.wrap(image), WriteFlag.NONE);
        CheckResult result =
                Qcow2Checker.check(Gate.readOnly(file), Repair.NONE, System.out::println);
        assertEquals(0, result.corruptions());
        Path cut = Files.write(folder.resolve("cut"), image);
        try (Tree tree = Tree.open("driver=qcow2", "file.driver=file", "file.filename=" + cut)) {
            return DiskModel.read(tree.gate(), 0, DISK_BYTES);
        }
    }
}
