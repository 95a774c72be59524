package dev.lockstep.colo.primary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.qmp.QmpException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/// A primary as its operator and its guest see it, over loopback.
class PrimaryNodeTest {
    private static final int SIZE = 8 << 20;
    private static final Duration SOON = Duration.ofSeconds(20);

    @TempDir Path folder;
    private final MemoryDevice far = new MemoryDevice("far", SIZE);
    private final AtomicReference<Optional<DurableRecord>> farRecord =
            new AtomicReference<>(Optional.empty());
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private Path disk;

    @BeforeEach
    void makeDisk() throws IOException {
        disk = folder.resolve("P.raw");
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
    }

    @AfterEach
    void closeAll() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
    }

    private BareSecondary secondary() throws IOException {
        BareSecondary secondary = new BareSecondary(far, farRecord);
        opened.push(secondary);
        return secondary;
    }

    private PrimaryNode primary(BareSecondary secondary, SyncMode sync) throws Exception {
        return primary(secondary, sync, OnPeerLoss.CONTINUE, Optional.empty());
    }

    private PrimaryNode primary(
            BareSecondary secondary, SyncMode sync, OnPeerLoss loss, Optional<Duration> every)
            throws Exception {
        PrimaryNode node =
                PrimaryNode.start(
                        new PrimaryOptions(
                                "vm1",
                                disk,
                                "raw",
                                secondary.address().target(),
                                secondary.address().monitor(),
                                new Address.Unix(folder.resolve("p.sock")),
                                new Address.Unix(folder.resolve("p.mon")),
                                folder.resolve("P.raw.lockstep"),
                                sync,
                                loss,
                                Duration.ofSeconds(5),
                                every,
                                false,
                                false,
                                PairTls.NONE));
        opened.push(node);
        return node;
    }

    private RemoteDevice guest(PrimaryNode node) throws IOException {
        RemoteDevice guest = RemoteDevice.open(RemoteOptions.of(node.guestExport()));
        opened.push(guest);
        return guest;
    }

    private static ByteBuffer bytes(int length, int value) {
        byte[] array = new byte[length];
        Arrays.fill(array, (byte) value);
        return ByteBuffer.wrap(array);
    }

    private void fillDisk(int value) throws IOException {
        Files.write(disk, bytes(SIZE, value).array());
    }

    private void assertSame() throws IOException {
        ByteBuffer there = ByteBuffer.allocate(SIZE);
        new Gate(far).read(0, there);
        assertArrayEquals(Files.readAllBytes(disk), there.array());
    }

    private static void awaitState(PrimaryNode node, State state) {
        await().atMost(SOON).until(() -> node.status().state() == state);
    }

    @Test
    void what_the_guest_writes_is_on_both_sides_and_a_checkpoint_counts_on_both() throws Exception {
        BareSecondary secondary = secondary();
        PrimaryNode node = primary(secondary, SyncMode.NONE);
        RemoteDevice guest = guest(node);
        guest.write(4096, bytes(100_000, 7), WriteFlag.NONE);
        guest.zero(8192, 5000, WriteFlag.NONE);
        guest.discard(20_000, 9000);
        guest.flush();
        assertSame();
        long before = node.status().epoch();
        assertEquals(before + 1, node.checkpoint());
        assertEquals(before + 1, secondary.node().record().orElseThrow().epoch());
        assertTrue(node.status().inSync());
        assertTrue(node.lastPause().totalMicros() > 0);
        guest.write(0, bytes(512, 9), WriteFlag.DURABLE);
        assertSame();
    }

    @Test
    void a_full_sync_copies_everything_while_the_guest_writes() throws Exception {
        fillDisk(5);
        new Gate(far).write(0, bytes(SIZE, 6), WriteFlag.NONE);
        PrimaryNode node = primary(secondary(), SyncMode.FULL);
        RemoteDevice guest = guest(node);
        for (int i = 0; i < 50; i++) {
            guest.write(i * 100_000L, bytes(5000, i), WriteFlag.NONE);
        }
        awaitState(node, State.RUNNING);
        assertSame();
        assertTrue(node.status().inSync());
    }

    @Test
    void two_disks_that_were_never_a_pair_are_not_joined_without_a_word() throws Exception {
        BareSecondary secondary = secondary();
        IOException refusal =
                assertThrows(IOException.class, () -> primary(secondary, SyncMode.UNSPECIFIED));
        assertTrue(String.valueOf(refusal.getMessage()).contains("--sync"), refusal::toString);
    }

    @Test
    void the_guest_never_notices_that_the_secondary_dies_and_a_resync_pairs_it_anew()
            throws Exception {
        BareSecondary secondary = secondary();
        PrimaryNode node = primary(secondary, SyncMode.NONE);
        RemoteDevice guest = guest(node);
        guest.write(0, bytes(4096, 1), WriteFlag.NONE);
        secondary.kill();
        guest.write(4096, bytes(4096, 2), WriteFlag.NONE);
        guest.flush();
        awaitState(node, State.DEGRADED);
        assertFalse(node.status().inSync());
        assertThrows(QmpException.class, node::checkpoint);

        farRecord.set(Optional.empty());
        BareSecondary next = secondary();
        node.resync(next.address().target(), next.address().monitor(), false);
        guest.write(8192, bytes(4096, 3), WriteFlag.NONE);
        awaitState(node, State.RUNNING);
        node.checkpoint();
        assertSame();
    }

    @Test
    void a_secondary_that_returns_is_told_that_it_is_stale_and_can_be_taken_back()
            throws Exception {
        BareSecondary secondary = secondary();
        PrimaryNode node = primary(secondary, SyncMode.NONE);
        RemoteDevice guest = guest(node);
        secondary.kill();
        guest.write(4096, bytes(4096, 2), WriteFlag.NONE);
        awaitState(node, State.DEGRADED);
        BareSecondary back = new BareSecondary(far, farRecord, secondary.address());
        opened.push(back);
        await().atMost(SOON).until(() -> back.node().state() == State.STALE);
        node.resync(back.address().target(), back.address().monitor(), false);
        awaitState(node, State.RUNNING);
        assertSame();
    }

    @Test
    void under_stop_the_guest_is_held_until_the_operator_says_go_on() throws Exception {
        BareSecondary secondary = secondary();
        PrimaryNode node = primary(secondary, SyncMode.NONE, OnPeerLoss.STOP, Optional.empty());
        RemoteDevice guest = guest(node);
        secondary.kill();
        awaitState(node, State.DEGRADED);
        AtomicBoolean done = new AtomicBoolean();
        Thread writer =
                Thread.ofVirtual()
                        .start(
                                () -> {
                                    try {
                                        guest.write(0, bytes(4096, 1), WriteFlag.NONE);
                                        done.set(true);
                                    } catch (BlockException e) {
                                        throw new IllegalStateException(e);
                                    }
                                });
        await().during(Duration.ofMillis(300)).atMost(SOON).until(() -> !done.get());
        ByteBuffer read = ByteBuffer.allocate(512);
        guest.read(0, read);
        node.goAlone();
        writer.join();
        assertTrue(done.get());
    }

    @Test
    void a_clean_stop_of_both_lets_the_pair_resume_without_a_copy() throws Exception {
        BareSecondary secondary = secondary();
        PrimaryNode node = primary(secondary, SyncMode.NONE);
        guest(node).write(0, bytes(4096, 1), WriteFlag.NONE);
        assertSame();
        node.close();
        secondary.close();
        PrimaryNode again = primary(secondary(), SyncMode.UNSPECIFIED);
        assertEquals(State.RUNNING, again.status().state());
        guest(again).write(8192, bytes(4096, 1), WriteFlag.NONE);
        assertSame();
    }

    @Test
    void checkpoints_are_taken_by_themselves_when_asked_to() throws Exception {
        PrimaryNode node =
                primary(
                        secondary(),
                        SyncMode.NONE,
                        OnPeerLoss.CONTINUE,
                        Optional.of(Duration.ofMillis(100)));
        long first = node.status().epoch();
        await().atMost(SOON).until(() -> node.status().epoch() > first + 2);
    }
}
