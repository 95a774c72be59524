package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.filter.blklogwrites.LoggedHistory;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.raw.RawDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/// A durable overlay on one disk, map and data behind each other, whose history blklogwrites
/// recorded: cut off after any entry, it has what was flushed.
class OverlayReplayTest {
    private static final int DISK_BYTES = 10 * MapHeader.CLUSTER_BYTES_MIN;
    private static final int MAP_BYTES = 1 << 20;
    private static final int OPERATIONS = 60;

    @TempDir Path folder;

    private final Random random = new Random(Seeds.next("OverlayReplayTest"));
    private final byte[] below = BlockDeviceContract.randomBytes(random, DISK_BYTES);

    private static Gate map(Gate disk) throws BlockException {
        return new Gate(RawDevice.window(disk, 0, MAP_BYTES));
    }

    private static Gate data(Gate disk) throws BlockException {
        return new Gate(RawDevice.window(disk, MAP_BYTES, DISK_BYTES));
    }

    private BlockDevice open(Gate disk) throws BlockException {
        DurableStore store = DurableStore.open(map(disk), data(disk));
        return BufferOverlay.open(
                "overlay", Gate.readOnly(memory(below)), store, ByteBudget.unlimited());
    }

    private static MemoryDevice memory(byte[] contents) throws BlockException {
        MemoryDevice memory = new MemoryDevice(contents.length);
        memory.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
        return memory;
    }

    @Test
    void an_overlay_that_is_cut_off_after_any_entry_of_its_log_has_what_was_flushed()
            throws Exception {
        OverlayFiles made = OverlayFiles.create(below, DISK_BYTES);
        byte[] empty = Arrays.copyOf(made.map().contents(), MAP_BYTES + DISK_BYTES);
        Path disk = Files.write(folder.resolve("disk"), empty);
        Path log = Files.createFile(folder.resolve("log"));
        LoggedHistory history = new LoggedHistory(random, log, below);
        try (Tree tree =
                Tree.open(
                        "driver=blklogwrites",
                        "file.driver=file",
                        "file.filename=" + disk,
                        "log.driver=file",
                        "log.filename=" + log)) {
            try (BlockDevice overlay = open(tree.gate())) {
                Gate gate = new Gate(overlay);
                for (int count = 0; count < OPERATIONS; count++) {
                    history.operate(gate);
                }
            }
        }
        int judged =
                history.judgeEach(
                        empty, file -> DiskModel.read(open(new Gate(memory(file))), 0, DISK_BYTES));
        assertTrue(judged > OPERATIONS, "the log has what the overlay wrote");
    }
}
