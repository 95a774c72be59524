package dev.lockstep.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// What every block device keeps to, whatever it is made of. A device's test extends this and says
/// how to make one; the optional hooks let it also be reopened, crashed and checked.
public abstract class BlockDeviceContract {
    private static final int REQUEST_MAX = 96 << 10;

    private @Nullable BlockDevice opened;

    /// Makes a fresh device that reads as `contents`.
    protected abstract BlockDevice create(byte[] contents) throws Exception;

    /// The size that the tests use: small, and not a multiple of anything but a sector.
    protected int size() {
        return (1 << 20) + 3 * 512;
    }

    /// How many random operations are tried; lower it where each is slow.
    protected int operations() {
        return 1500;
    }

    /// Closes the device and opens it again; null if it does not outlive its closing.
    protected @Nullable BlockDevice reopen(BlockDevice device) throws Exception {
        return null;
    }

    /// Loses what was not flushed, as a power cut would, and opens it again; null if it cannot.
    protected @Nullable BlockDevice crash(BlockDevice device, Random random) throws Exception {
        return null;
    }

    /// Looks for damage that reading does not show, such as wrong reference counts.
    protected void checkHealth(BlockDevice device) throws Exception {}

    @AfterEach
    void closeTheDevice() throws Exception {
        if (opened != null) {
            checkHealth(opened);
            opened.close();
            opened.close();
        }
    }

    private Gate open(byte[] contents) throws Exception {
        BlockDevice device = create(contents);
        opened = device;
        assertEquals(contents.length, device.size());
        return new Gate(device);
    }

    private byte[] randomContents(Random random) {
        byte[] contents = new byte[size()];
        for (int hole = 0; hole < 4; hole++) {
            int start = random.nextInt(size());
            int end = start + random.nextInt(size() - start);
            byte[] piece = new byte[end - start];
            random.nextBytes(piece);
            System.arraycopy(piece, 0, contents, start, piece.length);
        }
        return contents;
    }

    @Test
    void it_describes_itself_the_same_way_every_time() throws Exception {
        open(new byte[size()]);
        BlockDevice device = Objects.requireNonNull(opened);
        assertFalse(device.description().isBlank());
        assertEquals(device.capabilities(), device.capabilities());
        assertEquals(0, device.size() % device.capabilities().alignment());
    }

    @Test
    void random_operations_agree_with_a_model() throws Exception {
        long seed = Seeds.next(getClass().getSimpleName());
        Random random = new Random(seed);
        byte[] contents = randomContents(random);
        Gate gate = open(contents);
        DiskModel model = new DiskModel(contents);
        for (int step = 0; step < operations(); step++) {
            if (random.nextInt(300) == 0) {
                gate = reopened(gate, model);
            }
            randomOperation(random, gate, model);
        }
        model.check("at the end", 0, DiskModel.read(gate, 0, size()));
        checkExtents(gate, model, 0, size());
    }

    private Gate reopened(Gate gate, DiskModel model) throws Exception {
        gate.flush();
        model.flush();
        BlockDevice again = reopen(gate.device());
        if (again == null) {
            return gate;
        }
        opened = again;
        model.check("reopened", 0, DiskModel.read(again, 0, size()));
        return new Gate(again);
    }

    private void randomOperation(Random random, Gate gate, DiskModel model) throws Exception {
        int grain = random.nextInt(4) == 0 ? 1 : random.nextBoolean() ? 512 : 4096;
        int offset = random.nextInt(size()) / grain * grain;
        int length = 1 + random.nextInt(random.nextInt(8) == 0 ? REQUEST_MAX : 8192);
        length = Math.min(size() - offset, (length + grain - 1) / grain * grain);
        switch (random.nextInt(16)) {
            case 0, 1, 2, 3 -> model.check("read", offset, DiskModel.read(gate, offset, length));
            case 4 -> {
                ByteBuffer target = heapOrDirect(random, new byte[length]);
                checkReadNow(gate, model, offset, target);
            }
            case 5, 6, 7, 8 -> randomWrite(random, gate, model, offset, length);
            case 9, 10 -> {
                byte[] bytes = randomBytes(random, length);
                if (gate.writeNow(offset, heapOrDirect(random, bytes))) {
                    model.write(offset, bytes, false);
                }
            }
            case 11, 12 -> {
                gate.zero(offset, length, randomFlags(random));
                model.write(offset, new byte[length], false);
            }
            case 13 -> {
                gate.discard(offset, length);
                model.adoptDiscarded(offset, DiskModel.read(gate, offset, length));
            }
            case 14 -> {
                gate.flush();
                model.flush();
            }
            default -> checkExtents(gate, model, offset, length);
        }
    }

    private static void randomWrite(
            Random random, Gate gate, DiskModel model, int offset, int length) throws Exception {
        byte[] bytes = randomBytes(random, length);
        boolean fua = random.nextInt(4) == 0;
        ByteBuffer source = heapOrDirect(random, bytes);
        gate.write(offset, source, fua ? WriteFlag.DURABLE : WriteFlag.NONE);
        assertFalse(source.hasRemaining(), "a write takes the whole buffer");
        model.write(offset, bytes, fua);
    }

    private static Set<WriteFlag> randomFlags(Random random) {
        Set<WriteFlag> flags = EnumSet.noneOf(WriteFlag.class);
        if (random.nextBoolean()) {
            flags.add(WriteFlag.MAY_UNMAP);
        }
        if (random.nextInt(4) == 0) {
            flags.add(WriteFlag.FUA);
        }
        return flags;
    }

    private static void checkReadNow(Gate gate, DiskModel model, int offset, ByteBuffer target)
            throws Exception {
        if (gate.readNow(offset, target)) {
            assertFalse(target.hasRemaining(), "a read fills the whole buffer");
            byte[] found = new byte[target.limit()];
            target.flip().get(found);
            model.check("readNow", offset, found);
        } else {
            assertEquals(0, target.position(), "a declined readNow leaves the position");
        }
    }

    private static void checkExtents(Gate gate, DiskModel model, int offset, int length)
            throws Exception {
        long at = offset;
        while (at < offset + length) {
            List<Extent> extents = gate.extents(at, offset + length - at);
            assertFalse(extents.isEmpty());
            for (Extent extent : extents) {
                assertEquals(at, extent.offset(), "extents tile the range");
                at = extent.end();
                if (extent.kind() != Extent.Kind.DATA) {
                    byte[] zeroes = new byte[(int) extent.length()];
                    model.check(extent.kind() + " extent", (int) extent.offset(), zeroes);
                }
            }
        }
        assertEquals(offset + length, at, "extents end at or before the end");
    }

    @Test
    void the_first_and_the_last_byte_can_be_written() throws Exception {
        Gate gate = open(new byte[size()]);
        DiskModel model = new DiskModel(new byte[size()]);
        for (int offset : new int[] {0, size() - 1, size() / 2 + 1}) {
            gate.write(offset, ByteBuffer.wrap(new byte[] {(byte) 0xa5}), WriteFlag.NONE);
            model.write(offset, new byte[] {(byte) 0xa5}, false);
        }
        model.check("whole", 0, DiskModel.read(gate, 0, size()));
    }

    @Test
    void the_whole_device_can_be_written_and_zeroed_at_once() throws Exception {
        Random random = new Random(Seeds.next(getClass().getSimpleName()));
        Gate gate = open(new byte[size()]);
        byte[] bytes = randomBytes(random, size());
        gate.write(0, direct(bytes), WriteFlag.NONE);
        assertArrayEquals(bytes, DiskModel.read(gate, 0, size()));
        gate.zero(0, size(), WriteFlag.NONE);
        assertArrayEquals(new byte[size()], DiskModel.read(gate, 0, size()));
    }

    @Test
    void a_request_beyond_the_end_is_refused_and_changes_nothing() throws Exception {
        byte[] contents = randomContents(new Random(1));
        Gate gate = open(contents);
        long end = size();
        assertKind(Kind.OUT_OF_RANGE, () -> gate.read(end - 1, ByteBuffer.allocate(2)));
        assertKind(
                Kind.OUT_OF_RANGE,
                () -> gate.write(end - 1, ByteBuffer.allocate(2), WriteFlag.NONE));
        assertKind(Kind.OUT_OF_RANGE, () -> gate.zero(1, end, WriteFlag.NONE));
        assertKind(Kind.OUT_OF_RANGE, () -> gate.discard(end, 1));
        assertKind(Kind.OUT_OF_RANGE, () -> gate.extents(end, 1));
        assertKind(Kind.OUT_OF_RANGE, () -> gate.zero(1, Long.MAX_VALUE, WriteFlag.NONE));
        assertArrayEquals(contents, DiskModel.read(gate, 0, size()));
    }

    @Test
    void empty_requests_do_nothing() throws Exception {
        byte[] contents = randomContents(new Random(2));
        Gate gate = open(contents);
        gate.read(0, ByteBuffer.allocate(0));
        gate.write(size(), ByteBuffer.allocate(0), WriteFlag.NONE);
        gate.zero(size(), 0, WriteFlag.NONE);
        gate.discard(7, 0);
        assertArrayEquals(contents, DiskModel.read(gate, 0, size()));
    }

    @Test
    void a_zero_reads_as_zeroes_whatever_its_flags_and_leaves_its_neighbours() throws Exception {
        byte[] contents = new byte[size()];
        Arrays.fill(contents, (byte) 7);
        Gate gate = open(contents);
        DiskModel model = new DiskModel(contents);
        int offset = 1000;
        for (WriteFlag first : WriteFlag.values()) {
            for (WriteFlag second : WriteFlag.values()) {
                Set<WriteFlag> flags = EnumSet.of(first, second);
                try {
                    gate.zero(offset, 70_000, flags);
                    model.write(offset, new byte[70_000], false);
                } catch (BlockException e) {
                    assertEquals(Kind.UNSUPPORTED, e.kind());
                    assertTrue(flags.contains(WriteFlag.FAST), () -> flags + ": " + e);
                }
                model.check("zero", 0, DiskModel.read(gate, 0, size()));
                offset += 100_001;
            }
        }
    }

    @Test
    void buffers_may_be_slices_read_only_heap_or_direct_and_are_not_kept() throws Exception {
        Gate gate = open(new byte[size()]);
        byte[] bytes = randomBytes(new Random(3), 3000);
        for (ByteBuffer whole : List.of(ByteBuffer.wrap(bytes.clone()), direct(bytes))) {
            ByteBuffer source = whole.duplicate().position(500).limit(2500).asReadOnlyBuffer();
            gate.write(12_345, source, WriteFlag.NONE);
            assertEquals(2500, source.position());
            assertEquals(2500, source.limit());
            whole.put(600, (byte) ~whole.get(600));
            ByteBuffer target = ByteBuffer.allocate(3000).position(500).limit(2500);
            gate.read(12_345, target);
            assertEquals(2500, target.position());
            assertTrue(
                    Arrays.equals(bytes, 500, 2500, target.array(), 500, 2500),
                    "what was written is what the buffer held during the call");
            assertEquals(0, target.array()[499], "a read stays inside its buffer's window");
            assertEquals(0, target.array()[2500], "a read stays inside its buffer's window");
        }
    }

    @Test
    void nothing_writes_through_a_read_only_gate() throws Exception {
        byte[] contents = randomContents(new Random(4));
        open(contents);
        Gate gate = Gate.readOnly(Objects.requireNonNull(opened));
        ByteBuffer source = ByteBuffer.allocate(512);
        assertTrue(gate.capabilities().readOnly());
        assertKind(Kind.READ_ONLY, () -> gate.write(0, source, WriteFlag.NONE));
        assertKind(Kind.READ_ONLY, () -> gate.writeNow(0, source));
        assertKind(Kind.READ_ONLY, () -> gate.zero(0, 512, WriteFlag.NONE));
        assertKind(Kind.READ_ONLY, () -> gate.discard(0, 512));
        gate.flush();
        assertArrayEquals(contents, DiskModel.read(gate, 0, size()));
    }

    @Test
    void concurrent_writers_of_disjoint_ranges_do_not_disturb_each_other() throws Exception {
        long seed = Seeds.next(getClass().getSimpleName());
        Gate gate = open(new byte[size()]);
        int writers = 8;
        int stripe = 1000;
        byte[] expected = new byte[size()];
        runAll(
                writers,
                writer -> {
                    Random random = new Random(seed + writer);
                    for (int at = writer * stripe; at < size(); at += writers * stripe) {
                        byte[] bytes = randomBytes(random, Math.min(stripe, size() - at));
                        switch (random.nextInt(4)) {
                            case 0 -> {
                                Arrays.fill(bytes, (byte) 0);
                                gate.zero(at, bytes.length, randomFlags(random));
                            }
                            case 1 -> {
                                if (!gate.writeNow(at, ByteBuffer.wrap(bytes))) {
                                    gate.write(at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                                }
                            }
                            default -> gate.write(at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                        }
                        System.arraycopy(bytes, 0, expected, at, bytes.length);
                        assertArrayEquals(bytes, DiskModel.read(gate, at, bytes.length));
                    }
                });
        assertArrayEquals(expected, DiskModel.read(gate, 0, size()));
    }

    @Test
    void of_concurrent_overlapping_writes_each_byte_holds_what_one_wrote() throws Exception {
        Gate gate = open(new byte[size()]);
        int span = 150_000;
        for (int round = 0; round < 3; round++) {
            runAll(
                    6,
                    writer -> {
                        byte[] bytes = new byte[span - 11 * writer];
                        Arrays.fill(bytes, (byte) (writer + 1));
                        gate.write(7L * writer, ByteBuffer.wrap(bytes), WriteFlag.NONE);
                        for (byte found : DiskModel.read(gate, 5000, 100_000)) {
                            assertTrue(found > 0 && found <= 6, () -> "found " + found);
                        }
                    });
        }
    }

    @Test
    void what_was_flushed_is_there_when_reopened() throws Exception {
        byte[] contents = randomContents(new Random(5));
        Gate gate = open(contents);
        DiskModel model = new DiskModel(contents);
        byte[] bytes = randomBytes(new Random(6), 200_001);
        gate.write(333, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        model.write(333, bytes, false);
        reopened(gate, model);
    }

    @Test
    void after_a_crash_every_byte_has_its_flushed_value_or_a_later_one() throws Exception {
        long seed = Seeds.next(getClass().getSimpleName());
        Random random = new Random(seed);
        byte[] contents = randomContents(random);
        Gate gate = open(contents);
        gate.flush();
        DiskModel model = new DiskModel(contents);
        for (int round = 0; round < 5; round++) {
            for (int step = random.nextInt(operations() / 5); step >= 0; step--) {
                randomOperation(random, gate, model);
            }
            BlockDevice survivor = crash(gate.device(), random);
            if (survivor == null) {
                return;
            }
            opened = survivor;
            gate = new Gate(survivor);
            checkHealth(survivor);
            model.adoptCrashed(DiskModel.read(survivor, 0, size()));
        }
    }

    /// A piece of a test that runs beside others of its kind.
    public interface Worker {
        /// Runs as number `index`.
        void run(int index) throws Exception;
    }

    /// Runs workers 0 to `count` - 1 on virtual threads and fails as the first that failed.
    public static void runAll(int count, Worker worker) throws Exception {
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> results = new ArrayList<>();
            for (int index = 0; index < count; index++) {
                int number = index;
                Callable<@Nullable Void> task =
                        () -> {
                            worker.run(number);
                            return null;
                        };
                results.add(threads.submit(task));
            }
            for (Future<?> result : results) {
                result.get();
            }
        }
    }

    /// Random bytes.
    public static byte[] randomBytes(Random random, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    private static ByteBuffer heapOrDirect(Random random, byte[] bytes) {
        return random.nextBoolean() ? ByteBuffer.wrap(bytes) : direct(bytes);
    }

    /// A direct buffer with these bytes, ready to be written.
    public static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    /// Writes the parts of `contents` that are not zero to a device that holds zeroes.
    public static void fill(BlockDevice device, byte[] contents) throws BlockException {
        int piece = 4096;
        for (int at = 0; at < contents.length; at += piece) {
            byte[] bytes = Arrays.copyOfRange(contents, at, Math.min(at + piece, contents.length));
            if (!Arrays.equals(bytes, new byte[bytes.length])) {
                device.write(at, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            }
        }
    }

    /// A request that is expected to fail.
    public interface Request {
        /// Makes it.
        void run() throws Exception;
    }

    /// Fails unless the request fails with this kind of error.
    public static void assertKind(Kind kind, Request request) {
        BlockException e = assertThrows(BlockException.class, request::run);
        assertEquals(kind, e.kind(), e::getMessage);
    }
}
