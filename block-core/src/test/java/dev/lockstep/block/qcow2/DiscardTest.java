package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;

/// What becomes of the space of clusters that are given up: `pass-discard-request`, `-snapshot` and
/// `-other`, and `discard-no-unref`.
class DiscardTest {
    private static final int CLUSTER = 4096;
    private static final int SIZE = 64 * CLUSTER;

    @TempDir(factory = Folder.class)
    private Path folder;

    /// A file that counts how much of it is discarded.
    private static final class Counting extends FilterDevice implements Resizable {
        private final Gate file;
        private long discarded;

        Counting(RecordingDevice file) {
            this(new Gate(file));
        }

        private Counting(Gate file) {
            super(file);
            this.file = file;
        }

        @Override
        public void discard(long offset, long length) throws BlockException {
            discarded += length;
            child.discard(offset, length);
        }

        @Override
        public long remeasure() {
            return file.remeasure();
        }

        @Override
        public void resize(long bytes) throws BlockException {
            file.resize(bytes);
        }

        @Override
        public void grow(long bytes) throws BlockException {
            file.grow(bytes);
        }

        /// How many clusters since this was last asked.
        long clusters() {
            long clusters = discarded / CLUSTER;
            discarded = 0;
            return clusters;
        }
    }

    private static Qcow2Options options(
            boolean request, boolean snapshot, boolean other, boolean noUnref) {
        Qcow2Options usual = Qcow2Options.DEFAULTS;
        return new Qcow2Options(
                usual.lazyRefcounts(),
                request,
                snapshot,
                other,
                noUnref,
                usual.cacheBytes(),
                usual.l2CacheBytes(),
                usual.l2CacheEntryBytes(),
                usual.refcountCacheBytes(),
                usual.cacheCleanInterval());
    }

    private RecordingDevice create(String compat) throws Exception {
        Path image = folder.resolve("image.qcow2");
        Recipe.of("cluster_size=%d,compat=%s".formatted(CLUSTER, compat), SIZE).create(image);
        return new RecordingDevice(Files.readAllBytes(image));
    }

    private static void write(Gate gate, int cluster, int count, int value) throws BlockException {
        byte[] bytes = new byte[count * CLUSTER];
        Arrays.fill(bytes, (byte) value);
        gate.write((long) cluster * CLUSTER, ByteBuffer.wrap(bytes), WriteFlag.NONE);
    }

    /// What a commit unmaps is given up by the next.
    private static void settle(Gate gate) throws BlockException {
        gate.flush();
        gate.flush();
    }

    private void checkClean(RecordingDevice file) throws Exception {
        Path image = folder.resolve("image.qcow2");
        Files.write(image, file.contents());
        Peer.checkClean("afterwards", image);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7})
    void each_reason_to_free_clusters_has_an_option(int choice) throws Exception {
        boolean request = (choice & 1) != 0;
        boolean snapshot = (choice & 2) != 0;
        boolean other = (choice & 4) != 0;
        RecordingDevice recorded = create("1.1");
        Counting file = new Counting(recorded);
        try (Qcow2Device device =
                Qcow2Device.open(
                        new Gate(file),
                        null,
                        null,
                        options(request, snapshot, other, false),
                        false)) {
            Gate gate = new Gate(device);
            write(gate, 0, 40, 1);
            settle(gate);
            assertEquals(0, file.clusters(), "nothing is given up");
            gate.discard(0, 4 * CLUSTER);
            gate.zero(4 * CLUSTER, 4 * CLUSTER, WriteFlag.UNMAP);
            gate.zero(8 * CLUSTER, 4 * CLUSTER, WriteFlag.NONE);
            settle(gate);
            assertEquals(request ? 8 : 0, file.clusters(), "requests");
            gate.writeCompressed(16 * CLUSTER, ByteBuffer.allocate(CLUSTER));
            settle(gate);
            assertEquals(other ? 1 : 0, file.clusters(), "what is replaced");
            SnapshotEntry _ = device.createSnapshot("one", Instant.EPOCH);
            write(gate, 20, 8, 2);
            settle(gate);
            long before = file.clusters();
            assertTrue(before <= (other ? 2 : 0) + (snapshot ? 2 : 0), before + " tables");
            SnapshotEntry _ = device.deleteSnapshot("one");
            long after = file.clusters();
            assertTrue(snapshot ? after >= 8 + 2 : after <= 2, after + " by a snapshot");
            device.resize(30 * CLUSTER);
            assertEquals(10, file.clusters(), "what is cut off always is");
        }
        checkClean(recorded);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void what_keeps_its_place_reads_as_zeroes_and_is_written_there_again(boolean request)
            throws Exception {
        RecordingDevice recorded = create("1.1");
        Counting file = new Counting(recorded);
        try (Qcow2Device device =
                Qcow2Device.open(
                        new Gate(file), null, null, options(request, true, true, true), false)) {
            Gate gate = new Gate(device);
            write(gate, 0, 8, 1);
            settle(gate);
            long[] places = places(device);
            long length = file.size();
            gate.discard(0, 4 * CLUSTER);
            gate.zero(4 * CLUSTER, 4 * CLUSTER, WriteFlag.UNMAP);
            settle(gate);
            assertEquals(request ? 8 : 0, file.clusters());
            assertArrayEquals(new byte[8 * CLUSTER], DiskModel.read(gate, 0, 8 * CLUSTER));
            write(gate, 8, 4, 2);
            write(gate, 0, 8, 3);
            settle(gate);
            assertArrayEquals(places, places(device));
            assertEquals(length + 4 * CLUSTER, file.size());
        }
        checkClean(recorded);
    }

    private static long[] places(Qcow2Device device) throws BlockException {
        long[] places = new long[8];
        for (int cluster = 0; cluster < places.length; cluster++) {
            places[cluster] = device.locate((long) cluster * CLUSTER, CLUSTER).position();
        }
        return places;
    }

    @Test
    void version_2_cannot_keep_places() throws Exception {
        Gate file = new Gate(create("0.10"));
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () ->
                                Qcow2Device.open(
                                        file, null, null, options(true, true, true, true), false));
        assertTrue(e.getMessage().contains("discard-no-unref needs"), e::getMessage);
    }
}
