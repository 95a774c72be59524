package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// A durable overlay whose map or data fails at some request, which `blkdebug` sees to: what was
/// flushed is there when it is opened again.
class OverlayFaultTest {
    private static final int DISK_BYTES = 6 * OverlayFiles.CLUSTER;
    private static final int OPERATIONS = 40;
    private static final int TIMES = 6;

    @TempDir Path folder;

    private final Random random = new Random(Seeds.next("OverlayFaultTest"));
    private final byte[] below = BlockDeviceContract.randomBytes(random, DISK_BYTES);
    private long now;

    @Test
    void what_was_flushed_is_there_whichever_request_to_its_files_failed() throws Exception {
        for (String file : List.of("file", "data-file")) {
            for (String event : List.of("pwritev", "flush_to_disk")) {
                int failures = 0;
                for (int time = 1; time <= TIMES; time++) {
                    failures += failAt(file, event, time);
                }
                assertTrue(failures > 0, "no request failed: " + file + " " + event);
            }
        }
    }

    private int failAt(String file, String event, int time) throws Exception {
        OverlayFiles made = OverlayFiles.create(below, DISK_BYTES);
        Files.write(folder.resolve("file"), made.map().contents());
        Files.write(folder.resolve("data-file"), made.data().contents());
        Files.write(folder.resolve("backing"), below);
        GuestHistory guest = new GuestHistory(below);
        int failures = 0;
        try (Tree tree = Tree.open(options(file, event, time))) {
            for (int count = 0; count < OPERATIONS; count++) {
                failures += operate(tree.gate(), guest) ? 0 : 1;
            }
        } catch (BlockException e) {
            assertTrue(e.getMessage().contains("injected fault"), e.getMessage());
        }
        try (Tree tree = Tree.open(options("", "", 0))) {
            guest.checkCrashed(now, DiskModel.read(tree.gate(), 0, DISK_BYTES));
        }
        return failures;
    }

    private String[] options(String failing, String event, int time) {
        List<String> options = new ArrayList<>(List.of("driver=overlay"));
        for (String file : List.of("file", "data-file", "backing")) {
            String path = folder.resolve(file).toString();
            if (!file.equals(failing)) {
                options.addAll(List.of(file + ".driver=file", file + ".filename=" + path));
                continue;
            }
            options.add(file + ".driver=blkdebug");
            options.addAll(List.of(file + ".image.driver=file", file + ".image.filename=" + path));
            for (int state = 1; state < time; state++) {
                String rule = "%s.set-state.%d.".formatted(file, state - 1);
                options.addAll(List.of(rule + "event=" + event, rule + "state=" + state));
                options.add(rule + "new_state=" + (state + 1));
            }
            String rule = file + ".inject-error.0.";
            options.addAll(List.of(rule + "event=" + event, rule + "state=" + time));
            options.add(rule + "once=on");
        }
        return options.toArray(String[]::new);
    }

    /// Does something.
    ///
    /// @return whether it succeeded
    private boolean operate(Gate gate, GuestHistory guest) throws BlockException {
        long began = ++now;
        boolean flush = random.nextInt(4) == 0;
        int length = 512 * (1 + random.nextInt(16));
        int offset = 512 * random.nextInt((DISK_BYTES - length) / 512 + 1);
        byte[] bytes = BlockDeviceContract.randomBytes(random, length);
        boolean done = false;
        try {
            if (flush) {
                gate.flush();
            } else {
                gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            }
            done = true;
        } catch (BlockException e) {
            assertTrue(e.getMessage().contains("injected fault"), e.getMessage());
            assertEquals(BlockException.Kind.IO, e.kind());
        }
        if (!flush) {
            guest.changed(began, done ? ++now : Long.MAX_VALUE, offset, bytes, false);
        } else if (done) {
            guest.flushed(began, ++now);
        }
        return done;
    }
}
