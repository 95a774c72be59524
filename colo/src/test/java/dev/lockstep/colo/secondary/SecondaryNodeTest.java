package dev.lockstep.colo.secondary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.SecondaryOptions.Buffers;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/// The whole secondary in this process, driven over its real listeners.
class SecondaryNodeTest {
    private static final int SIZE = 4 << 20;
    private static final int CLUSTER = 64 << 10;
    private static final Duration SOON = Duration.ofSeconds(20);

    @TempDir Path folder;
    private SecondaryNode node;
    private BarePrimary primary;
    private long seed = 1;

    @BeforeEach
    void start() throws Exception {
        Files.write(folder.resolve("S.raw"), new byte[SIZE]);
        startNode(false);
        primary = newPrimary();
    }

    @AfterEach
    void end() throws Exception {
        primary.close();
        node.close();
    }

    @Test
    void until_a_primary_has_joined_the_guest_gets_errors_and_nobody_can_promote()
            throws Exception {
        assertEquals(State.WAITING, node.status().state());
        assertNull(node.status().peer());
        try (RemoteDevice guest = guest()) {
            assertThrows(BlockException.class, () -> guest.read(0, ByteBuffer.allocate(512)));
        }
        assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, false));
        assertThrows(BlockException.class, () -> primary.attach(new Nonce(0, 0)));
        primary.join(SyncMode.NONE, false);
        assertEquals(State.RUNNING, node.status().state());
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 0, 0, 512);
        }
    }

    @Test
    void the_guest_sees_checkpoints_and_not_what_is_written_between_them() throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(1, 0, 1 << 20);
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 0, 0, 1 << 20);
            guest.write(2 << 20, BarePrimary.filled(7, 4096), WriteFlag.NONE);
            assertReads(guest, 7, 2 << 20, 4096);
            assertEquals((1 << 20) + CLUSTER, node.status().bufferedBytes());
            primary.checkpoint();
            assertEquals(primary.epoch(), node.status().epoch());
            assertEquals(0, node.status().bufferedBytes());
            assertReads(guest, 1, 0, 1 << 20);
            assertReads(guest, 0, 2 << 20, 4096);
        }
    }

    @Test
    void a_checkpoint_asked_twice_is_answered_twice_and_taken_once() throws Exception {
        primary.join(SyncMode.NONE, false);
        Message.Checkpoint next = primary.next();
        assertEquals(new Message.Checkpointed(next.epoch()), primary.ask(next));
        assertEquals(new Message.Checkpointed(next.epoch()), primary.ask(next));
        assertEquals(next.epoch(), node.status().epoch());
        Message.Checkpoint foreign =
                new Message.Checkpoint(primary.nonce(), next.generation(), next.epoch() + 1);
        assertThrows(IOException.class, () -> primary.ask(foreign));
    }

    @Test
    void a_full_sync_makes_the_copy_worthless_until_the_checkpoint_that_ends_it() throws Exception {
        primary.join(SyncMode.FULL, false);
        assertEquals(State.SYNCING, node.status().state());
        primary.write(5, 0, SIZE);
        assertEquals(0, node.status().bufferedBytes(), "nothing is saved during a sync");
        try (RemoteDevice guest = guest()) {
            assertThrows(BlockException.class, () -> guest.read(0, ByteBuffer.allocate(512)));
        }
        primary.checkpoint();
        assertEquals(State.RUNNING, node.status().state());
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 5, 0, SIZE);
        }
    }

    @Test
    void a_full_sync_that_breaks_leaves_an_inconsistent_copy_that_nobody_promotes()
            throws Exception {
        primary.join(SyncMode.FULL, false);
        primary.write(5, 0, 4096);
        primary.die();
        awaitState(State.INCONSISTENT);
        assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, true));
        assertThrows(IOException.class, () -> node.failover(FailoverTo.LATEST, false));
        restart(false);
        assertEquals(State.INCONSISTENT, node.status().state());
        node.failover(FailoverTo.LATEST, true);
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 5, 0, 4096);
        }
    }

    @Test
    void a_failover_to_the_checkpoint_keeps_it_and_the_guests_writes_on_the_disk_alone()
            throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(1, 0, 1 << 20);
        primary.checkpoint();
        primary.write(9, 0, 512 << 10);
        String generation = String.valueOf(node.status().generation());
        try (RemoteDevice guest = guest()) {
            guest.write(3 << 20, BarePrimary.filled(3, 8192), WriteFlag.NONE);
            assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, false));
            primary.die();
            awaitState(State.DEGRADED);
            assertFalse(node.status().inSync());
            assertEquals(512 << 10, node.failover(FailoverTo.CHECKPOINT, false).droppedBytes());
            assertReads(guest, 1, 0, 1 << 20);
            assertReads(guest, 3, 3 << 20, 8192);
            guest.write(4096, BarePrimary.filled(4, 4096), WriteFlag.NONE);
            guest.flush();
            awaitState(State.DEGRADED);
            assertEquals(Role.PRIMARY, node.status().role());
            assertNotEquals(generation, node.status().generation());
            assertEquals(0, node.status().bufferedBytes());
            assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, true));
        }
        try (Gate disk = disk()) {
            assertReads(disk, 1, 0, 4096);
            assertReads(disk, 4, 4096, 4096);
            assertReads(disk, 1, 8192, (1 << 20) - 8192);
            assertReads(disk, 3, 3 << 20, 8192);
        }
    }

    @Test
    void a_failover_to_the_latest_keeps_the_primarys_writes_unless_the_guest_wrote()
            throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(9, 0, 512 << 10);
        try (RemoteDevice guest = guest()) {
            guest.write(3 << 20, BarePrimary.filled(3, 8192), WriteFlag.NONE);
            primary.die();
            awaitState(State.DEGRADED);
            assertThrows(IOException.class, () -> node.failover(FailoverTo.LATEST, false));
            node.failover(FailoverTo.LATEST, true);
            assertReads(guest, 9, 0, 512 << 10);
            assertReads(guest, 0, 3 << 20, 8192);
            guest.write(0, BarePrimary.filled(4, 4096), WriteFlag.NONE);
            guest.flush();
        }
        try (Gate disk = disk()) {
            assertReads(disk, 4, 0, 4096);
        }
    }

    @Test
    void a_new_session_fences_the_old_one_for_good() throws Exception {
        primary.join(SyncMode.NONE, false);
        Gate old = primary.remote();
        Nonce oldSession = primary.session();
        primary.write(1, 0, 4096);
        try (BarePrimary other = newPrimary()) {
            assertThrows(IOException.class, () -> other.join(SyncMode.NONE, true));
            primary.stopBeating();
            awaitState(State.DEGRADED);
            primary.write(2, 0, 4096);
            other.join(SyncMode.NONE, true);
            assertThrows(
                    BlockException.class,
                    () -> old.write(0, BarePrimary.filled(8, 4096), WriteFlag.NONE));
            assertThrows(BlockException.class, () -> primary.attach(oldSession));
            assertThrows(IOException.class, () -> primary.ask(primary.next()));
            assertReads(other.remote(), 2, 0, 4096);
        }
    }

    @Test
    void a_side_that_was_told_it_is_stale_is_promoted_by_force_only() throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.die();
        awaitState(State.DEGRADED);
        primary.tellStale();
        assertEquals(State.STALE, node.status().state());
        assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, false));
        restart(false);
        assertEquals(State.STALE, node.status().state());
        assertThrows(IOException.class, () -> node.failover(FailoverTo.LATEST, false));
        node.failover(FailoverTo.LATEST, true);
    }

    @Test
    void a_stranger_cannot_make_it_stale() throws Exception {
        primary.join(SyncMode.NONE, false);
        assertThrows(
                IOException.class,
                () -> primary.ask(new Message.PeerStale(Identity.first(primary.nonce()))));
        assertEquals(State.RUNNING, node.status().state());
    }

    @Test
    void a_clean_stop_of_both_lets_the_pair_resume_and_shows_the_checkpoint() throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(6, 0, 4096);
        primary.leave();
        primary.die();
        restart(false);
        assertEquals(State.WAITING, node.status().state());
        assertTrue(node.status().inSync());
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 6, 0, 4096);
        }
        primary = newPrimary(primary.record().orElseThrow());
        primary.join(SyncMode.UNSPECIFIED, false);
        assertEquals(State.RUNNING, node.status().state());
    }

    @Test
    void a_restart_in_an_open_session_has_lost_its_checkpoint_and_says_so() throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(6, 0, 4096);
        primary.die();
        restart(false);
        assertEquals(State.DEGRADED, node.status().state());
        try (RemoteDevice guest = guest()) {
            assertThrows(BlockException.class, () -> guest.read(0, ByteBuffer.allocate(512)));
        }
        DurableRecord before = primary.record().orElseThrow();
        primary.close();
        primary = newPrimary(before);
        assertThrows(IOException.class, () -> primary.join(SyncMode.UNSPECIFIED, false));
        assertThrows(IOException.class, () -> node.failover(FailoverTo.CHECKPOINT, false));
        node.failover(FailoverTo.LATEST, true);
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 6, 0, 4096);
        }
    }

    @Test
    void a_promoted_side_serves_on_after_a_restart_and_is_overwritten_by_force_only()
            throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.die();
        awaitState(State.DEGRADED);
        node.failover(FailoverTo.LATEST, false);
        try (RemoteDevice guest = guest()) {
            guest.write(0, BarePrimary.filled(4, 4096), WriteFlag.NONE);
            guest.flush();
        }
        restart(false);
        assertEquals(Role.PRIMARY, node.status().role());
        try (RemoteDevice guest = guest()) {
            assertReads(guest, 4, 0, 4096);
        }
        restart(true);
        assertEquals(Role.SECONDARY, node.status().role());
        assertEquals(State.WAITING, node.status().state());
    }

    @Test
    void a_promoted_side_pairs_with_a_new_secondary_under_its_running_guest() throws Exception {
        primary.join(SyncMode.NONE, false);
        primary.write(1, 0, 1 << 20);
        primary.checkpoint();
        primary.die();
        awaitState(State.DEGRADED);
        node.failover(FailoverTo.CHECKPOINT, false);
        Path otherDisk = folder.resolve("T.raw");
        Files.write(otherDisk, new byte[SIZE]);
        try (SecondaryNode other = SecondaryNode.start(options("T", false));
                RemoteDevice guest = guest()) {
            awaitState(State.DEGRADED);
            node.resync(other.targetExport(), monitor("T"), false);
            guest.write(2 << 20, BarePrimary.filled(8, 1 << 20), WriteFlag.NONE);
            assertReads(guest, 1, 0, 1 << 20);
            awaitState(State.RUNNING);
            long epoch = node.checkpoint();
            assertEquals(epoch, other.status().epoch());
            assertEquals(-1, Files.mismatch(folder.resolve("S.raw"), otherDisk));
            assertTrue(node.status().inSync());
            node.close();
            // The primary may end when its session is fenced; the secondary goes through with it.
            await().until(() -> other.status().state() == State.WAITING);
        }
    }

    @Test
    void a_checkpoint_without_a_session_is_local_and_in_one_is_refused() throws Exception {
        primary.join(SyncMode.NONE, false);
        assertThrows(IOException.class, () -> node.checkpoint());
        try (RemoteDevice guest = guest()) {
            guest.write(0, BarePrimary.filled(4, 4096), WriteFlag.NONE);
            primary.die();
            awaitState(State.DEGRADED);
            assertReads(guest, 4, 0, 4096);
            long before = node.status().epoch();
            assertEquals(before + 1, node.checkpoint());
            assertReads(guest, 0, 0, 4096);
        }
    }

    @Test
    void two_processes_cannot_use_one_disk_or_one_folder_of_buffers() throws Exception {
        IOException refused =
                assertThrows(IOException.class, () -> SecondaryNode.start(options("S", false)));
        assertTrue(String.valueOf(refused.getMessage()).length() > 20, refused::toString);
    }

    private void awaitState(State state) {
        await().atMost(SOON).until(() -> node.status().state() == state);
    }

    private void startNode(boolean force) throws IOException {
        node = SecondaryNode.start(options("S", force));
    }

    private void restart(boolean force) throws IOException {
        node.close();
        startNode(force);
    }

    private BarePrimary newPrimary() throws Exception {
        return new BarePrimary(node, monitor("S"), seed++);
    }

    private BarePrimary newPrimary(DurableRecord record) throws Exception {
        BarePrimary next = newPrimary();
        next.remember(record);
        return next;
    }

    private Address monitor(String disk) {
        return Address.parse("unix:" + folder.resolve(disk + ".monitor"));
    }

    private SecondaryOptions options(String disk, boolean force) {
        return new SecondaryOptions(
                "vm1",
                folder.resolve(disk + ".raw"),
                "raw",
                new Buffers.Folder(folder.resolve(disk + "-buffers")),
                Address.parse("127.0.0.1:0"),
                Address.parse("unix:" + folder.resolve(disk + ".guest")),
                monitor(disk),
                folder.resolve(disk + ".state"),
                1L << 30,
                force,
                false,
                PairTls.NONE);
    }

    private RemoteDevice guest() throws BlockException {
        return RemoteDevice.open(RemoteOptions.of(node.guestExport()));
    }

    /// The disk file alone.
    private Gate disk() throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(folder.resolve("S.raw")));
        var memory = new MemoryDevice(SIZE);
        memory.write(0, bytes, WriteFlag.NONE);
        return new Gate(memory);
    }

    private static void assertReads(BlockDevice device, int value, long offset, int length)
            throws BlockException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        device.read(offset, bytes);
        assertEquals(
                -1,
                bytes.flip().mismatch(BarePrimary.filled(value, length)),
                "the first byte that is not " + value);
    }
}
