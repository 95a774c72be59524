package dev.lockstep.block.filter.blklogwrites;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// A history of an image that blklogwrites recorded, cut off after each of its entries: what the
/// guest flushed is there, and the image is sound.
class ReplayedCrashTest {
    private static final int DISK_BYTES = 256 << 10;
    private static final int OPERATIONS = 120;

    @TempDir Path folder;

    private final Random random = new Random(Seeds.next("ReplayedCrashTest"));

    /// How long the log was at each moment of the guest's history.
    private final List<Long> moments = new ArrayList<>();

    private Path log;

    @BeforeEach
    void makeLog() throws IOException {
        log = Files.createFile(folder.resolve("log"));
    }

    private long tick() throws Exception {
        moments.add(Files.size(log));
        return moments.size();
    }

    @Test
    void an_image_that_is_cut_off_after_any_entry_of_its_log_has_what_was_flushed()
            throws Exception {
        Path image = folder.resolve("image");
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
        GuestHistory history = new GuestHistory(new byte[DISK_BYTES]);
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
                operate(tree.gate(), history);
            }
        }
        Replay replay = Replay.of(log);
        assertTrue(replay.records().size() > OPERATIONS, "the log has what the image wrote");
        for (int count = 0; count <= replay.records().size(); count++) {
            judge(replay, empty, count, history, false);
            judge(replay, empty, count, history, true);
        }
    }

    private void operate(Gate gate, GuestHistory history) throws Exception {
        long began = tick();
        if (random.nextInt(6) == 0) {
            gate.flush();
            history.flushed(began, tick());
            return;
        }
        int length = 512 * (1 + random.nextInt(8));
        int offset = 512 * random.nextInt((DISK_BYTES - length) / 512 + 1);
        byte[] bytes = new byte[length];
        if (random.nextInt(4) == 0) {
            gate.zero(offset, length, WriteFlag.UNMAP);
        } else {
            random.nextBytes(bytes);
            gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        }
        history.changed(began, tick(), offset, bytes, false);
    }

    /// Judges the image that a power cut leaves after some entries.
    ///
    /// @param lossy whether each of those after the last flush is lost by a toss
    private void judge(Replay replay, byte[] empty, int count, GuestHistory history, boolean lossy)
            throws Exception {
        byte[] image = empty.clone();
        for (int number = 0; number < count; number++) {
            if (!lossy || number < replay.settled(count) || random.nextBoolean()) {
                image = replay.records().get(number).applyTo(image);
            }
        }
        MemoryDevice file = new MemoryDevice(image.length);
        file.write(0, ByteBuffer.wrap(image), WriteFlag.NONE);
        CheckResult result =
                Qcow2Checker.check(Gate.readOnly(file), Repair.NONE, System.out::println);
        assertEquals(0, result.corruptions(), "after %d entries".formatted(count));
        Path cut = Files.write(folder.resolve("cut"), image);
        try (Tree tree = Tree.open("driver=qcow2", "file.driver=file", "file.filename=" + cut)) {
            byte[] found = DiskModel.read(tree.gate(), 0, DISK_BYTES);
            history.checkCrashed(instant(replay, count), found);
        }
    }

    /// The last moment at which the log was no longer than this.
    private long instant(Replay replay, int count) {
        long end = count == 0 ? 512 : replay.records().get(count - 1).end();
        return moments.stream().filter(length -> length <= end).count();
    }
}
