package dev.lockstep.colo.cells;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.util.Objects.requireNonNull;

import dev.lockstep.block.BlockException;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.StoredStates;
import dev.lockstep.colo.machine.SyncMode;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.io.TempDirFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// Every stored state under every command, on sides that really start, join and fail over. What has
/// to come of it is what `docs/replication-states.md` says in the cell of the test's name.
class StoredStateTest {
    private static final Duration SOON = Duration.ofSeconds(20);
    private static final String ON_DISK = "buffers on disk";

    /// States in which `colo secondary` without `--force` is refused, or serves on as a primary.
    private static final Set<String> NO_SECONDARY =
            Set.of("primary, alone, clean", "failing over, buffers in memory", "promoted");

    private static final Map<String, Optional<DurableRecord>> OURS =
            StoredStates.of(new Nonce(2, 2));
    private static final Map<String, Optional<DurableRecord>> THEIRS =
            StoredStates.of(new Nonce(3, 3));

    @TempDir(factory = InMemory.class)
    Path folder;

    private Machines machines;

    /// What is shown here does not depend on how long a sync takes; there are thousands of them.
    static final class InMemory implements TempDirFactory {
        private static final Path MEMORY = Path.of("/dev/shm");

        @Override
        public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext extension)
                throws IOException {
            return Files.isWritable(MEMORY)
                    ? Files.createTempDirectory(MEMORY, "lockstep")
                    : Files.createTempDirectory("lockstep");
        }
    }

    @BeforeEach
    void make() throws IOException {
        machines = new Machines(folder);
    }

    static Stream<Cell> secondaryStarts() {
        return Cell.under("Starting").stream().filter(cell -> cell.number() <= 2);
    }

    static Stream<Cell> primaryStarts() {
        return Cell.under("Starting").stream().filter(cell -> cell.number() > 2);
    }

    static Stream<Cell> joins() {
        return Cell.under("Joining without `--sync`").stream();
    }

    static Stream<Cell> copies() {
        return Cell.under("Joining with `--sync full` and without `--force`").stream();
    }

    static Stream<Cell> failovers() {
        return Cell.under("Failing over a secondary that was started again").stream();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("secondaryStarts")
    void a_secondary_starts(Cell cell) throws Exception {
        boolean force = cell.number() == 2;
        Optional<DurableRecord> before = store("S", OURS, cell.row());
        if (cell.isRefused()) {
            assertRefused(cell.reason(), () -> machines.secondary("S", force).close());
            assertEquals(before, machines.stored("S"));
            return;
        }
        try (Side side = secondary(cell, force)) {
            boolean leads = cell.outcome().startsWith("serves on as the primary");
            assertEquals(leads ? Role.PRIMARY : Role.SECONDARY, side.status().role());
            String state = side.status().state().label();
            boolean committed = leads && cell.row().endsWith(ON_DISK) && state.equals("degraded");
            assertTrue(committed || cell.outcome().contains("`" + state + "`"), state);
            if (cell.row().endsWith(ON_DISK)) {
                assertEquals(Machines.BUFFERED_BYTE, Machines.guestReads(side));
                await().atMost(SOON).until(() -> side.status().state() == State.DEGRADED);
                byte onDisk = leads ? Machines.BUFFERED_BYTE : Machines.SECONDARY_BYTE;
                assertEquals(onDisk, machines.diskHolds("S"));
            } else if (leads || cell.row().equals("secondary, clean")) {
                assertEquals(Machines.SECONDARY_BYTE, Machines.guestReads(side));
            } else {
                assertThrows(BlockException.class, () -> Machines.guestReads(side));
            }
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("primaryStarts")
    void a_primary_starts_whose_secondary_is_out_of_reach(Cell cell) throws Exception {
        boolean force = cell.number() == 4;
        Optional<DurableRecord> before = store("P", OURS, cell.row());
        if (cell.isRefused()) {
            assertRefused(cell.reason(), () -> start("P", SyncMode.UNSPECIFIED, force));
            assertEquals(before, machines.stored("P"));
        } else if (cell.outcome().endsWith("ends")) {
            assertRefused("", () -> start("P", SyncMode.UNSPECIFIED, force));
            assertEquals(before, machines.stored("P"));
        } else {
            assertTrue(cell.outcome().endsWith("serves alone"), cell.outcome());
            try (Side side = machines.primary("P", SyncMode.UNSPECIFIED, force)) {
                assertEquals(Machines.PRIMARY_BYTE, Machines.guestReads(side));
                await().atMost(SOON).until(() -> side.status().state() == State.DEGRADED);
                assertFalse(side.status().inSync());
                assertNull(requireNonNull(side.status().peer()).lastHeardMs());
            }
            assertRefused("", () -> start("P", SyncMode.FULL, force));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("joins")
    void a_pair_joins_without_a_word_about_the_disks(Cell cell) throws Exception {
        store("P", OURS, cell.row());
        store("S", THEIRS, cell.column());
        try (Side secondary = machines.secondary("S", NO_SECONDARY.contains(cell.column()))) {
            if (cell.isRefused()) {
                assertRefusedByPair(cell.reason(), SyncMode.UNSPECIFIED, secondary);
                return;
            }
            try (Side primary = machines.primary("P", SyncMode.UNSPECIFIED, false)) {
                assertTogether(primary, secondary, Machines.SECONDARY_BYTE);
            }
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("copies")
    void a_pair_joins_by_a_full_copy(Cell cell) throws Exception {
        store("P", OURS, cell.row());
        store("S", THEIRS, cell.column());
        if (NO_SECONDARY.contains(cell.column())) {
            overwriteBySecondForce();
            return;
        }
        try (Side secondary = machines.secondary("S", false)) {
            if (cell.isRefused()) {
                assertRefusedByPair(cell.reason(), SyncMode.FULL, secondary);
            }
            try (Side primary = machines.primary("P", SyncMode.FULL, cell.isRefused())) {
                assertTogether(primary, secondary, Machines.PRIMARY_BYTE);
                assertTrue(machines.disksEqual());
            }
        }
    }

    /// A side that went its own way gives its history up at its own start; then the primary's
    /// `--force` is not needed any more.
    private void overwriteBySecondForce() throws Exception {
        try (Side secondary = machines.secondary("S", true);
                Side primary = machines.primary("P", SyncMode.FULL, false)) {
            assertTogether(primary, secondary, Machines.PRIMARY_BYTE);
            assertTrue(machines.disksEqual());
        }
    }

    @ParameterizedTest(name = "{0}, but --sync none")
    @MethodSource("copies")
    void a_pair_joins_on_the_operators_word(Cell cell) throws Exception {
        store("P", OURS, cell.row());
        store("S", THEIRS, cell.column());
        boolean yields = NO_SECONDARY.contains(cell.column());
        try (Side secondary = machines.secondary("S", yields)) {
            boolean refused = cell.isRefused() && !yields;
            if (refused) {
                assertRefusedByPair(cell.reason(), SyncMode.NONE, secondary);
            }
            try (Side primary = machines.primary("P", SyncMode.NONE, refused)) {
                assertTogether(primary, secondary, Machines.SECONDARY_BYTE);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(SyncMode.class)
    void a_promoted_side_that_serves_on_is_no_secondary_for_anybody(SyncMode sync)
            throws Exception {
        Optional<DurableRecord> before = store("P", OURS, "primary, paired, clean");
        store("S", THEIRS, "promoted");
        try (Side promoted = machines.secondary("S", false)) {
            assertRefused("a primary itself", () -> start("P", sync, true));
            assertEquals(before, machines.stored("P"));
            assertEquals(Role.PRIMARY, promoted.status().role());
            assertEquals(Machines.SECONDARY_BYTE, Machines.guestReads(promoted));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("failovers")
    void a_secondary_that_was_started_again_fails_over(Cell cell) throws Exception {
        store("S", OURS, cell.row());
        FailoverTo to =
                cell.column().contains("latest") ? FailoverTo.LATEST : FailoverTo.CHECKPOINT;
        boolean force = cell.column().contains("--force");
        boolean startForce = cell.row().contains("alone") || NO_SECONDARY.contains(cell.row());
        boolean kept = cell.row().endsWith(ON_DISK) && to == FailoverTo.CHECKPOINT;
        byte served = kept ? Machines.BUFFERED_BYTE : Machines.SECONDARY_BYTE;
        try (Side side = secondary(cell, startForce)) {
            if (cell.isRefused()) {
                assertRefused(cell.reason(), () -> side.failover(to, force));
                assertEquals(Role.SECONDARY, side.status().role());
                return;
            }
            assertNull(side.failover(to, force).lastHeardMs());
            assertEquals(Role.PRIMARY, side.status().role());
            assertEquals(served, Machines.guestReads(side));
            await().atMost(SOON).until(() -> side.status().state() == State.DEGRADED);
            assertEquals(served, machines.diskHolds("S"));
            assertRefused("", () -> side.failover(to, true));
        }
    }

    @ParameterizedTest
    @EnumSource(FailoverTo.class)
    void a_record_of_buffers_on_disk_is_not_believed(FailoverTo to) throws Exception {
        store("S", OURS, "secondary, open, buffers on disk");
        try (Side side = machines.secondary("S", false)) {
            assertThrows(BlockException.class, () -> Machines.guestReads(side));
            assertRefused("", () -> side.failover(to, false));
            assertRefused("no checkpoint", () -> side.failover(FailoverTo.CHECKPOINT, true));
        }
        store("P", OURS, "failing over, buffers on disk");
        assertRefused("a failover was interrupted", () -> machines.secondary("P", false).close());
    }

    @Test
    void buffers_on_disk_that_are_not_found_are_not_believed_either() throws Exception {
        Optional<DurableRecord> record = store("S", OURS, "secondary, open, buffers on disk");
        machines.buffer(record.orElseThrow().at(record.get().epoch() + 1));
        try (Side side = machines.durableSecondary("S", false)) {
            assertThrows(BlockException.class, () -> Machines.guestReads(side));
            assertRefused("no checkpoint", () -> side.failover(FailoverTo.CHECKPOINT, true));
        }
        store("P", OURS, "failing over, buffers on disk");
        assertRefused(
                "a failover was interrupted", () -> machines.durableSecondary("P", false).close());
    }

    /// `colo secondary` with the buffers that the cell's record speaks of.
    private Side secondary(Cell cell, boolean force) throws IOException {
        if (!cell.row().endsWith(ON_DISK)) {
            return machines.secondary("S", force);
        }
        machines.buffer(machines.stored("S").orElseThrow());
        return machines.durableSecondary("S", force);
    }

    private Optional<DurableRecord> store(
            String host, Map<String, Optional<DurableRecord>> states, String name)
            throws IOException {
        Optional<DurableRecord> record = states.getOrDefault(name, Optional.empty());
        assertEquals(name.equals("nothing"), record.isEmpty(), name);
        machines.store(host, record);
        return record;
    }

    private void start(String host, SyncMode sync, boolean force) throws Exception {
        machines.primary(host, sync, force).close();
    }

    /// The primary ends with the reason and the choices, and neither side is changed by it.
    private void assertRefusedByPair(String reason, SyncMode sync, Side secondary)
            throws Exception {
        String generation = String.valueOf(secondary.status().generation());
        long epoch = secondary.status().epoch();
        Optional<DurableRecord> before = machines.stored("P");
        assertRefused(reason, () -> start("P", sync, false));
        assertEquals(before, machines.stored("P"));
        assertEquals(generation, String.valueOf(secondary.status().generation()));
        assertEquals(epoch, secondary.status().epoch());
        assertEquals(Role.SECONDARY, secondary.status().role());
    }

    private static void assertRefused(String reason, Executable start) {
        String said = String.valueOf(assertThrows(IOException.class, start).getMessage());
        assertTrue(said.contains(reason), said);
        assertFalse(said.contains("\n"), said);
        assertTrue(reason.isEmpty() || said.length() > reason.length(), "no choice in: " + said);
    }

    /// Both run, a checkpoint counts on both, and both guests read what they have to.
    private static void assertTogether(Side primary, Side secondary, byte seen) throws Exception {
        await().atMost(SOON).until(() -> primary.status().state() == State.RUNNING);
        assertEquals(State.RUNNING, secondary.status().state());
        assertTrue(primary.status().inSync());
        for (Side side : List.of(primary, secondary)) {
            assertNotNull(requireNonNull(side.status().peer()).lastHeardMs());
        }
        assertEquals(primary.status().generation(), secondary.status().generation());
        assertEquals(primary.status().epoch(), secondary.status().epoch());
        assertEquals(primary.checkpoint(), secondary.status().epoch());
        assertEquals(Machines.PRIMARY_BYTE, Machines.guestReads(primary));
        assertEquals(seen, Machines.guestReads(secondary));
    }
}
