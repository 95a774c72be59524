package dev.lockstep.colo.secondary;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.SecondaryOptions.Buffers;
import dev.lockstep.colo.machine.FailoverTo;
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
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/// The failures of block replication that happen on a secondary, 3 to 7, each with the outcome that
/// QEMU's description of block replication gives it.
class FailureCasesTest {
    private static final int SIZE = 4 << 20;
    private static final int CLUSTER = 64 << 10;

    @TempDir Path folder;
    private final FaultDevice disk = new FaultDevice(new Gate(new MemoryDevice(SIZE)));
    private final List<FaultDevice> actives = new CopyOnWriteArrayList<>();
    private SecondaryNode node;
    private BarePrimary primary;
    private RemoteDevice guest;

    @BeforeEach
    void start() throws Exception {
        Files.write(folder.resolve("S.raw"), new byte[SIZE]);
        Address monitor = Address.parse("unix:" + folder.resolve("monitor"));
        node =
                SecondaryNode.start(
                        new SecondaryOptions(
                                "vm1",
                                folder.resolve("S.raw"),
                                "raw",
                                new Buffers.Folder(folder.resolve("buffers")),
                                Address.parse("127.0.0.1:0"),
                                Address.parse("unix:" + folder.resolve("guest")),
                                monitor,
                                folder.resolve("state"),
                                20L * CLUSTER,
                                false,
                                false,
                                PairTls.NONE),
                        _ -> disk,
                        stores -> (kind, length) -> faulty(kind, stores.create(kind, length)));
        primary = new BarePrimary(node, monitor, 1);
        primary.join(SyncMode.NONE, false);
        primary.write(1, 0, 4 * CLUSTER);
        primary.checkpoint();
        // Those of the join, of the checkpoint, and of the next one, made behind it.
        await().until(() -> actives.size() == 3);
        guest = RemoteDevice.open(RemoteOptions.of(node.guestExport()));
        assertNull(node.status().error());
    }

    @AfterEach
    void end() throws Exception {
        guest.close();
        primary.close();
        node.close();
    }

    @Test
    void case_3_a_write_whose_old_bytes_cannot_be_saved_is_refused_and_reported() throws Exception {
        assertThrows(BlockException.class, () -> primary.write(2, 0, 30 * CLUSTER));
        awaitError();
        assertGuestReads(1, 0, 4 * CLUSTER);
        assertGuestReads(0, 4 * CLUSTER, 26 * CLUSTER);
        primary.die();
        await().until(() -> node.status().state() == State.DEGRADED);
        node.failover(FailoverTo.CHECKPOINT, false);
        guest.flush();
        assertGuestReads(1, 0, 4 * CLUSTER);
    }

    @Test
    void case_4_an_error_of_the_disk_goes_to_the_primary_and_is_reported() {
        disk.add(Fault.error(Kind.IO).on(Operation.WRITE));
        assertThrows(BlockException.class, () -> primary.write(2, 0, 4096));
        awaitError();
        assertGuestReads(1, 0, 4 * CLUSTER);
    }

    @Test
    void case_5_an_error_of_the_active_buffer_is_the_guests_alone() throws Exception {
        FaultDevice.Rule rule = actives.get(1).add(Fault.error(Kind.IO).on(Operation.WRITE));
        assertThrows(
                BlockException.class,
                () -> guest.write(0, BarePrimary.filled(3, 4096), WriteFlag.NONE));
        assertNull(node.status().error());
        assertGuestReads(1, 0, 4 * CLUSTER);
        primary.write(2, 0, 4096);
        rule.remove();
        guest.write(0, BarePrimary.filled(3, 4096), WriteFlag.NONE);
        assertGuestReads(3, 0, 4096);
    }

    @Test
    void case_6_buffers_that_cannot_be_renewed_keep_the_old_checkpoint() throws Exception {
        Files.move(folder.resolve("buffers"), folder.resolve("aside"));
        Files.createFile(folder.resolve("buffers"));
        primary.write(2, 0, 4 * CLUSTER);
        primary.checkpoint();
        long epoch = node.status().epoch();
        primary.write(3, 0, CLUSTER);
        assertThrows(IOException.class, () -> primary.checkpoint());
        awaitError();
        assertEquals(epoch, node.status().epoch());
        assertGuestReads(2, 0, 4 * CLUSTER);
        primary.write(3, CLUSTER, CLUSTER);
        assertGuestReads(2, 0, 4 * CLUSTER);
        Files.delete(folder.resolve("buffers"));
        Files.move(folder.resolve("aside"), folder.resolve("buffers"));
        primary.checkpoint();
        assertGuestReads(3, 0, 2 * CLUSTER);
    }

    @Test
    void case_7_a_failed_commit_is_reported_and_tried_again_while_the_guest_reads_on()
            throws Exception {
        primary.write(2, 0, 2 * CLUSTER);
        guest.write(10 * CLUSTER, BarePrimary.filled(3, 4096), WriteFlag.NONE);
        primary.die();
        await().until(() -> node.status().state() == State.DEGRADED);
        FaultDevice.Rule rule = disk.add(Fault.error(Kind.IO).on(Operation.WRITE));
        node.failover(FailoverTo.CHECKPOINT, false);
        awaitError();
        assertEquals(State.FAILING_OVER, node.status().state());
        assertEquals(Role.PRIMARY, node.status().role());
        assertGuestReads(1, 0, 4 * CLUSTER);
        assertGuestReads(3, 10 * CLUSTER, 4096);
        assertThrows(
                BlockException.class,
                () -> guest.write(CLUSTER, BarePrimary.filled(4, 512), WriteFlag.NONE));
        assertThrows(BlockException.class, () -> guest.flush());
        rule.remove();
        await().atMost(Duration.ofSeconds(20)).until(() -> node.status().state() == State.DEGRADED);
        assertNull(node.status().error());
        guest.write(CLUSTER, BarePrimary.filled(4, 512), WriteFlag.NONE);
        guest.flush();
        assertGuestReads(1, 0, CLUSTER);
        assertReads(disk, 4, CLUSTER, 512);
        assertReads(disk, 1, CLUSTER + 512, 3 * CLUSTER - 512);
        assertReads(disk, 3, 10 * CLUSTER, 4096);
    }

    private void awaitError() {
        await().untilAsserted(() -> assertNotNull(node.status().error()));
    }

    private void assertGuestReads(int value, long offset, int length) {
        assertReads(guest, value, offset, length);
    }

    private static void assertReads(BlockDevice device, int value, long offset, int length) {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        try {
            device.read(offset, bytes);
        } catch (BlockException e) {
            throw new AssertionError(e);
        }
        assertEquals(
                -1,
                bytes.flip().mismatch(BarePrimary.filled(value, length)),
                "the first byte that is not " + value);
    }

    /// Active buffers can be told to fail.
    private BlockDevice faulty(String kind, BlockDevice store) {
        if (!kind.equals("active")) {
            return store;
        }
        FaultDevice device = new FaultDevice(new Gate(store));
        actives.add(device);
        return device;
    }
}
