package dev.lockstep.block.quorum;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.quorum.QuorumEvent.Failure;
import dev.lockstep.block.quorum.QuorumEvent.ReportBad;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;

class QuorumDeviceTest extends BlockDeviceContract {
    private static final int SIZE = 1 << 16;

    private final List<MemoryDevice> disks = new ArrayList<>();
    private final List<FaultDevice> faults = new ArrayList<>();
    private final List<QuorumEvent> events = new CopyOnWriteArrayList<>();

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        QuorumDevice device = quorum(QuorumOptions.voting(2), 3, contents.length);
        fill(device, contents);
        return device;
    }

    /// Whatever was done, the copies are equal and nobody complained.
    @Override
    protected void checkHealth(BlockDevice device) throws Exception {
        byte[] first = DiskModel.read(disks.getFirst(), 0, size());
        for (MemoryDevice disk : disks) {
            assertArrayEquals(first, DiskModel.read(disk, 0, size()));
        }
        assertEquals(List.of(), events);
    }

    private QuorumDevice quorum(QuorumOptions options, int children, int size)
            throws BlockException {
        List<QuorumChild> made = new ArrayList<>();
        for (int index = 0; index < children; index++) {
            disks.add(new MemoryDevice(size));
            faults.add(new FaultDevice(new Gate(disks.get(index))));
            made.add(new QuorumChild("child" + index, new Gate(faults.get(index))));
        }
        return new QuorumDevice("q", options, made, events::add);
    }

    private Gate gate(QuorumOptions options, int children) throws BlockException {
        return new Gate(quorum(options, children, SIZE));
    }

    private void corrupt(int disk, long offset) throws BlockException {
        disks.get(disk).write(offset, ByteBuffer.wrap(new byte[] {66}), WriteFlag.NONE);
    }

    @Test
    void the_majority_is_right_and_the_outvoted_child_is_reported() throws Exception {
        Gate gate = gate(QuorumOptions.voting(2), 3);
        corrupt(0, 600);
        byte[] found = DiskModel.read(gate, 512, 512);
        assertArrayEquals(new byte[512], found);
        assertEquals(
                List.of(new ReportBad(QuorumEvent.Operation.READ, null, "child0", 512, 512)),
                events);
        assertEquals(66, DiskModel.read(disks.get(0), 600, 1)[0]);
    }

    @Test
    void an_outvoted_child_is_rewritten_if_that_is_wanted() throws Exception {
        Gate gate = gate(new QuorumOptions(2, QuorumOptions.ReadPattern.QUORUM, true), 3);
        corrupt(2, 600);
        DiskModel.read(gate, 512, 512);
        assertEquals(0, DiskModel.read(disks.get(2), 600, 1)[0]);
        DiskModel.read(gate, 512, 512);
        assertEquals(1, events.size());
    }

    @Test
    void without_agreement_a_read_fails() throws Exception {
        Gate gate = gate(QuorumOptions.voting(2), 3);
        corrupt(0, 10);
        corrupt(1, 11);
        assertKind(Kind.IO, () -> gate.read(0, ByteBuffer.allocate(512)));
        assertEquals(List.of(new Failure("q", 0, 512)), events);
    }

    @Test
    void a_read_survives_as_many_failures_as_the_threshold_allows() throws Exception {
        Gate gate = gate(QuorumOptions.voting(2), 3);
        faults.get(0).add(Fault.error(Kind.TIMEOUT).on(Operation.READ));
        assertArrayEquals(new byte[512], DiskModel.read(gate, 0, 512));
        ReportBad report = (ReportBad) events.getFirst();
        assertEquals("child0", report.node());
        assertTrue(String.valueOf(report.error()).contains("injected fault"));
        faults.get(1).add(Fault.error(Kind.TIMEOUT).on(Operation.READ));
        events.clear();
        assertKind(Kind.TIMEOUT, () -> gate.read(0, ByteBuffer.allocate(512)));
        assertEquals(3, events.size());
        assertEquals(new Failure("q", 0, 512), events.getLast());
    }

    @Test
    void fifo_reads_the_first_child_that_can_be_read() throws Exception {
        Gate gate = gate(QuorumOptions.fifo(1), 3);
        corrupt(1, 0);
        assertEquals(0, DiskModel.read(gate, 0, 1)[0]);
        assertTrue(gate.readNow(0, ByteBuffer.allocate(1)));
        var rule = faults.get(0).add(Fault.error(Kind.IO).on(Operation.READ));
        assertFalse(gate.readNow(0, ByteBuffer.allocate(1)));
        assertEquals(66, DiskModel.read(gate, 0, 1)[0]);
        assertEquals("child0", ((ReportBad) events.getFirst()).node());
        rule.remove();
        faults.forEach(fault -> fault.add(Fault.error(Kind.IO).on(Operation.READ)));
        assertKind(Kind.IO, () -> gate.read(0, ByteBuffer.allocate(1)));
    }

    @Test
    void writes_zeroes_discards_and_flushes_are_voted_too() throws Exception {
        Gate gate = gate(QuorumOptions.voting(2), 3);
        FaultDevice first = faults.get(0);
        first.add(Fault.error(Kind.NO_SPACE).on(Operation.WRITE, Operation.ZERO, Operation.FLUSH));
        gate.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
        gate.zero(512, 512, WriteFlag.NONE);
        gate.discard(1024, 512);
        gate.flush();
        assertEquals(
                List.of("WRITE 0 512", "WRITE 512 512", "WRITE 1024 512", "FLUSH 0 " + SIZE),
                events.stream().map(QuorumDeviceTest::summary).toList());
        faults.get(1).add(Fault.error(Kind.NO_SPACE));
        assertKind(Kind.NO_SPACE, () -> gate.write(0, ByteBuffer.allocate(512), WriteFlag.NONE));
        assertEquals(new Failure("q", 0, 512), events.getLast());
        assertKind(Kind.NO_SPACE, () -> gate.zero(0, 512, WriteFlag.NONE));
        assertKind(Kind.NO_SPACE, gate::flush);
    }

    private static String summary(QuorumEvent event) {
        ReportBad bad = (ReportBad) event;
        return bad.operation() + " " + bad.offset() + " " + bad.length();
    }

    @Test
    void a_slow_child_does_not_keep_the_others_from_starting() throws Exception {
        Gate gate = gate(QuorumOptions.voting(2), 3);
        var slow = faults.get(0).add(Fault.hold().on(Operation.WRITE));
        Thread writer =
                Thread.startVirtualThread(
                        () -> {
                            try {
                                gate.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
                            } catch (BlockException e) {
                                throw new AssertionError(e);
                            }
                        });
        await().until(() -> DiskModel.read(disks.get(2), 0, 1)[0] == 1);
        assertFalse(writer.join(Duration.ofMillis(20)), "every child is waited for");
        slow.remove();
        assertTrue(writer.join(Duration.ofSeconds(10)));
        assertEquals(1, DiskModel.read(disks.get(0), 0, 1)[0]);
    }

    @Test
    void overlapping_writes_leave_the_copies_equal_and_votes_never_see_half_of_one()
            throws Exception {
        long seed = Seeds.next("QuorumDeviceTest");
        Gate gate = gate(new QuorumOptions(2, QuorumOptions.ReadPattern.QUORUM, true), 3);
        faults.get(1).add(Fault.delay(Duration.ofNanos(30_000)).in(0, SIZE / 2));
        faults.get(2).add(Fault.delay(Duration.ofNanos(30_000)).in(SIZE / 2, SIZE / 2));
        runAll(
                6,
                worker -> {
                    Random random = new Random(seed + worker);
                    for (int step = 0; step < 200; step++) {
                        int offset = random.nextInt(SIZE - 4096);
                        byte[] bytes = new byte[1 + random.nextInt(4096)];
                        Arrays.fill(bytes, (byte) random.nextInt());
                        if (random.nextBoolean()) {
                            gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                        } else {
                            gate.read(offset, ByteBuffer.wrap(bytes));
                        }
                    }
                });
        byte[] first = DiskModel.read(disks.get(0), 0, SIZE);
        assertArrayEquals(first, DiskModel.read(disks.get(1), 0, SIZE));
        assertArrayEquals(first, DiskModel.read(disks.get(2), 0, SIZE));
        assertEquals(List.of(), events);
    }

    @Test
    void children_come_and_go_but_never_fewer_than_the_threshold() throws Exception {
        QuorumDevice device = quorum(QuorumOptions.voting(2), 2, SIZE);
        Gate gate = new Gate(device);
        gate.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        assertKind(Kind.INVALID, () -> device.removeChild("child0"));
        MemoryDevice copy = new MemoryDevice(SIZE);
        copy.write(0, ByteBuffer.wrap(new byte[] {1}), WriteFlag.NONE);
        gate.drain();
        device.addChild(new QuorumChild("child2", new Gate(copy)));
        device.removeChild("child0");
        gate.open();
        gate.write(0, ByteBuffer.wrap(new byte[] {2}), WriteFlag.NONE);
        assertEquals(1, DiskModel.read(disks.get(0), 0, 1)[0]);
        assertEquals(2, DiskModel.read(copy, 0, 1)[0]);
        assertKind(Kind.INVALID, () -> device.removeChild("child0"));
        QuorumChild twin = new QuorumChild("child1", new Gate(copy));
        assertKind(Kind.INVALID, () -> device.addChild(twin));
        QuorumChild small = new QuorumChild("small", new Gate(new MemoryDevice(512)));
        assertKind(Kind.INVALID, () -> device.addChild(small));
        assertKind(Kind.INVALID, () -> quorum(QuorumOptions.voting(3), 2, SIZE));
        assertKind(Kind.INVALID, () -> quorum(QuorumOptions.voting(0), 1, SIZE));
    }

    @Test
    void a_hole_is_one_only_if_all_copies_say_so() throws Exception {
        Gate gate = gate(QuorumOptions.voting(1), 2);
        gate.discard(0, SIZE);
        assertEquals(List.of(Extent.of(0, SIZE, Extent.Kind.HOLE)), gate.extents(0, SIZE));
        corrupt(1, 0);
        assertEquals(Extent.Kind.DATA, gate.extents(0, SIZE).getFirst().kind());
    }

    @Test
    void a_lone_child_is_used_without_blocking() throws Exception {
        Gate gate = gate(QuorumOptions.voting(1), 1);
        assertTrue(gate.writeNow(0, ByteBuffer.allocate(512)));
        assertTrue(gate.readNow(0, ByteBuffer.allocate(512)));
    }
}
