package dev.lockstep.block.filter.blkdebug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.check.Qcow2Checker;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

class BlkdebugTest {
    private static final int DISK_BYTES = 1 << 20;
    private static final List<Script.Kind> ALL = List.of(Script.Kind.values());

    /// What an image that is written, emptied and grown does with its file.
    private static final Set<Step> STEPS =
            EnumSet.of(
                    Step.L1_UPDATE,
                    Step.L1_GROW_WRITE_TABLE,
                    Step.L1_GROW_ACTIVATE_TABLE,
                    Step.L2_UPDATE,
                    Step.L2_ALLOC_WRITE,
                    Step.WRITE_AIO,
                    Step.COW_READ,
                    Step.REFBLOCK_UPDATE_PART,
                    Step.REFBLOCK_ALLOC,
                    Step.REFBLOCK_ALLOC_HOOKUP,
                    Step.CLUSTER_ALLOC,
                    Step.CLUSTER_FREE,
                    Step.FLUSH_TO_DISK,
                    Step.CLUSTER_ALLOC_SPACE);

    @TempDir Path folder;
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        disk = folder.resolve("disk");
        Files.write(disk, new byte[DISK_BYTES]);
    }

    private String debugged(String... more) {
        return "driver=raw,discard=unmap,file.driver=blkdebug,file.image.driver=file,file.image.filename=%s,%s"
                .formatted(disk, String.join(",", more));
    }

    private static BlockException failure(Gate gate, long offset) {
        return assertThrows(
                BlockException.class, () -> gate.write(offset, sector(), WriteFlag.NONE));
    }

    private static ByteBuffer sector() {
        return ByteBuffer.allocate(512);
    }

    @Test
    void the_nth_request_fails_as_the_rules_say_and_the_next_one_succeeds() throws Exception {
        Path rules = folder.resolve("rules");
        Files.writeString(
                rules,
                """
                # the third write finds no room
                [set-state]
                event = "write_aio"
                state = "1"
                new_state = "2"

                [set-state]
                event = "write_aio"
                state = "2"
                new_state = "3"
                [inject-error]
                event = "write_aio"
                iotype = "write-zeroes"
                state = "3"
                errno = "28"
                once = "on"
                """);
        // Filters of the same node do not stand in the way of the steps.
        try (Tree tree = Tree.of(debugged("file.config=" + rules, "file.detect-zeroes=on"))) {
            tree.gate().write(0, sector(), WriteFlag.NONE);
            tree.gate().write(512, sector(), WriteFlag.NONE);
            BlockException full = failure(tree.gate(), 1024);
            assertEquals(Kind.NO_SPACE, full.kind());
            assertEquals(
                    "file %s: write zeroes of 512 bytes at 0x400: injected fault: No space left on device"
                            .formatted(disk),
                    full.getMessage());
            tree.gate().write(1024, sector(), WriteFlag.NONE);
        }
    }

    @Test
    void an_error_may_be_for_one_kind_of_request_and_one_sector_alone() throws Exception {
        String options =
                debugged(
                        "file.inject-error.0.event=none",
                        "file.inject-error.0.iotype=write-zeroes",
                        "file.inject-error.0.sector=3");
        try (Tree tree = Tree.of(options)) {
            tree.gate().write(3 * 512, sector(), WriteFlag.NONE);
            tree.gate().zero(0, 3 * 512, WriteFlag.NONE);
            for (int again = 0; again < 2; again++) {
                assertEquals(
                        Kind.IO,
                        assertThrows(
                                        BlockException.class,
                                        () -> tree.gate().zero(1024, 1024, WriteFlag.NONE))
                                .kind());
            }
            tree.gate().zero(4 * 512, 1024, WriteFlag.NONE);
        }
    }

    @Test
    void what_is_wrong_with_the_rules_is_said_in_a_sentence_that_names_it() throws Exception {
        Path rules = folder.resolve("rules");
        Files.writeString(rules, "[inject-error]\nevent = l2_load\n");
        assertTrue(refusal("file.config=" + rules).contains("line 2: 'event = l2_load'"));
        Files.writeString(rules, "[inject-error]\nevent = \"l2_load\"\nsektor = \"1\"\n");
        assertTrue(refusal("file.config=" + rules).contains("inject-error.0.sektor"));
        assertTrue(refusal("file.config=" + folder).contains("cannot be read: "));
        assertTrue(refusal("file.config=/nothing").contains("no file of rules /nothing"));
        assertTrue(refusal("file.inject-error.0.event=l3_load").contains("no event 'l3_load'"));
        assertTrue(refusal("file.set-state.0.event=l2_load").contains("set-state.0.new_state"));
        assertTrue(refusal("file.align=1000").contains("power of two"));
        assertTrue(refusal("file.align=1024", "file.max-transfer=512").contains("max-transfer"));
        assertTrue(refusal("file.take-child-perms.0=all").contains("consistent-read"));
    }

    private String refusal(String... options) {
        return assertThrows(BlockException.class, () -> Tree.of(debugged(options)).close())
                .getMessage();
    }

    @Test
    void requests_fail_and_succeed_as_they_do_with_qemu() throws Exception {
        Random random = new Random(Seeds.next("BlkdebugTest"));
        Path zeroes = Files.write(folder.resolve("zeroes"), new byte[DISK_BYTES]);
        for (int round = 0; round < 8; round++) {
            fails(random, debugged(randomRules(random)), zeroes, ALL);
        }
    }

    /// Where the metadata stays what it is, so that requests are about data alone.
    @Test
    void requests_to_an_image_fail_and_succeed_as_they_do_with_qemu() throws Exception {
        Random random = new Random(Seeds.next("BlkdebugTest"));
        Path image = folder.resolve("mapped");
        String how = "preallocation=full";
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", how, image.toString(), "1M");
        List<Script.Kind> kinds = List.of(Script.Kind.READ, Script.Kind.WRITE);
        for (int round = 0; round < 8; round++) {
            String options = debugged(randomRules(random)).replace("driver=raw", "driver=qcow2");
            fails(random, options, image, kinds);
        }
    }

    private void fails(Random random, String options, Path before, List<Script.Kind> kinds)
            throws Exception {
        Path peers = folder.resolve("peers");
        Files.copy(before, disk, StandardCopyOption.REPLACE_EXISTING);
        Files.copy(before, peers, StandardCopyOption.REPLACE_EXISTING);
        Script script = Script.random(random, kinds, 60, DISK_BYTES / 16, 512);
        List<String> expected =
                script.runByQemu(options.replace(disk.toString(), peers.toString()));
        try (Tree tree = Tree.of(options)) {
            assertEquals(expected, script.run(tree.gate()), () -> options + " " + script);
        }
        assertEquals(-1, Files.mismatch(disk, peers), () -> options + " " + script);
    }

    /// Rules about what a raw image does; qemu passes on no flush when nothing was written, so
    /// flushes trigger nothing.
    private static String[] randomRules(Random random) {
        List<Step> steps = List.of(Step.READ_AIO, Step.WRITE_AIO, Step.PWRITEV, Step.PWRITEV_DONE);
        List<String> types = List.of("read", "write", "write-zeroes", "discard");
        List<String> options = new ArrayList<>();
        for (int number = 0; number < 4; number++) {
            boolean error = number % 2 == 0;
            String rule = "file.%s.%d.".formatted(error ? "inject-error" : "set-state", number / 2);
            options.add(rule + "event=" + steps.get(random.nextInt(steps.size())).label());
            options.add(rule + "state=" + random.nextInt(3));
            if (!error) {
                options.add(rule + "new_state=" + (1 + random.nextInt(2)));
                continue;
            }
            options.add(rule + "errno=" + List.of(5, 28, 12).get(random.nextInt(3)));
            options.add(rule + "once=" + (random.nextInt(4) > 0 ? "on" : "off"));
            if (random.nextBoolean()) {
                options.add(rule + "iotype=" + types.get(random.nextInt(types.size())));
            } else {
                options.add(rule + "sector=" + random.nextInt(DISK_BYTES / 16 / 512));
            }
        }
        if (random.nextBoolean()) {
            options.addAll(List.of("file.opt-write-zero=2048", "file.max-write-zero=4096"));
            options.addAll(List.of("file.opt-discard=1024", "file.max-discard=2048"));
        }
        return options.toArray(String[]::new);
    }

    /// Whichever step goes wrong, once at each of its times: the image holds together, and what was
    /// flushed is there.
    @Test
    void an_image_holds_together_whatever_step_of_its_engine_fails() throws Exception {
        String options = "cluster_size=512,refcount_bits=64";
        Path empty = folder.resolve("empty");
        Host.run(
                "qemu-img", "create", "-q", "-f", "qcow2", "-o", options, empty.toString(), "200k");
        Set<Step> seen = EnumSet.noneOf(Step.class);
        for (Step step : STEPS) {
            int failures = 1;
            for (int time = 1; time <= 3 && failures > 0; time++) {
                failures = failAt(empty, step, time);
                if (failures > 0) {
                    seen.add(step);
                }
            }
        }
        assertEquals(STEPS, seen, "steps that some request failed at");
    }

    private int failAt(Path empty, Step step, int time) throws Exception {
        Path image = folder.resolve("image");
        Files.copy(empty, image, StandardCopyOption.REPLACE_EXISTING);
        List<String> options = new ArrayList<>();
        options.addAll(List.of("driver=qcow2", "discard=unmap", "file.driver=blkdebug"));
        options.addAll(List.of("file.image.driver=file", "file.image.filename=" + image));
        String name = step.label();
        for (int state = 1; state < time; state++) {
            String rule = "file.set-state.%d.".formatted(state - 1);
            options.add(rule + "event=" + name);
            options.add(rule + "state=" + state);
            options.add(rule + "new_state=" + (state + 1));
        }
        options.add("file.inject-error.0.event=" + name);
        options.add("file.inject-error.0.state=" + time);
        options.add("file.inject-error.0.once=on");
        int failures = 0;
        byte[] flushed;
        try (Tree tree = Tree.open(options.toArray(String[]::new))) {
            Guest guest = new Guest(tree.gate());
            guest.work();
            failures = guest.failures;
            flushed = guest.settle();
        }
        String what = "%s, %d".formatted(name, time);
        try (FileDevice file = FileDevice.open(FileOptions.of(image).asReadOnly())) {
            CheckResult result =
                    Qcow2Checker.check(Gate.readOnly(file), Repair.NONE, System.out::println);
            assertEquals(0, result.corruptions(), what);
        }
        try (Tree tree = Tree.open("driver=qcow2", "file.driver=file", "file.filename=" + image)) {
            byte[] found = new byte[flushed.length];
            tree.gate().read(0, ByteBuffer.wrap(found));
            assertEquals(-1, Arrays.mismatch(flushed, found), what);
        }
        return failures;
    }

    /// Works on an image, and knows what it holds when the work is done.
    private static final class Guest {
        private static final int BYTES = 400 << 10;

        private final Gate gate;
        private int failures;

        Guest(Gate gate) {
            this.gate = gate;
        }

        private interface Request {
            void run() throws BlockException;
        }

        private void attempt(Request request) {
            try {
                request.run();
            } catch (BlockException e) {
                assertTrue(e.getMessage().contains("injected fault"), e.getMessage());
                failures++;
            }
        }

        void work() {
            for (int round = 1; round <= 4; round++) {
                byte[] bytes = new byte[6000];
                Arrays.fill(bytes, (byte) round);
                for (int at = round * 100; at < 200 << 10; at += 16 << 10) {
                    int offset = at;
                    attempt(() -> gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE));
                }
                attempt(gate::flush);
                int start = round * 20_000;
                attempt(() -> gate.discard(start, 60_000));
                attempt(gate::flush);
            }
            attempt(() -> gate.resize(BYTES));
            attempt(() -> gate.resize(BYTES));
            attempt(() -> gate.write(BYTES - 512, sector(), WriteFlag.NONE));
        }

        /// What the disk holds once a flush has succeeded.
        byte[] settle() throws BlockException {
            byte[] bytes = new byte[(int) gate.size()];
            attempt(gate::flush);
            gate.flush();
            gate.read(0, ByteBuffer.wrap(bytes));
            return bytes;
        }
    }
}
