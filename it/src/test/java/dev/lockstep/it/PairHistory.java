package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/// One random history of a real pair: guests on both sides write, checkpoints are taken, and at a
/// random point a process is killed or the cable cut. Then the survivor is read whole and judged.
final class PairHistory implements AutoCloseable {
    /// Small, so that a few thousand writes overlap each other and touch every cluster.
    private static final int SIZE = 2 << 20;

    private static final Duration SOON = Duration.ofSeconds(30);

    /// How a history ends.
    enum Ending {
        PRIMARY_KILLED_FAILOVER_TO_CHECKPOINT,
        PRIMARY_KILLED_FAILOVER_TO_LATEST,
        LINK_CUT_FAILOVER_TO_CHECKPOINT,
        SECONDARY_KILLED,
        LINK_CUT_PRIMARY_GOES_ON,
        /// Both are killed; the secondary starts again, and leads with its checkpoint.
        BOTH_KILLED_SECONDARY_RESTARTS,
        NOTHING_HAPPENS,
        /// The secondary is killed and paired anew under a writing guest; then another ending.
        PRIMARY_RESYNCS;

        boolean needsDurableBuffers() {
            return this == BOTH_KILLED_SECONDARY_RESTARTS;
        }
    }

    private final Random random;
    private final Pair pair;
    private final String[] buffers;
    private final Lockstep primary;
    private final Writers primaryGuest;
    private Lockstep secondary;
    private Writers secondaryGuest;

    /// When each checkpoint happened, by its epoch.
    private final Map<Long, History.Cut> cuts = new HashMap<>();

    /// Starts a pair in a folder, and its guests.
    PairHistory(Path folder, Random random, Ending ending) {
        this.random = random;
        // Under both kinds of disks and all kinds of buffers the same has to hold.
        pair = new Pair(folder, SIZE, random.nextBoolean() ? "raw" : "qcow2");
        long joinBegan = System.nanoTime();
        String place = folder.resolve("b").toString();
        buffers =
                switch (ending.needsDurableBuffers() ? 2 : random.nextInt(3)) {
                    case 0 -> new String[0];
                    case 1 -> new String[] {"--buffers", place};
                    default -> new String[] {"--buffers", place, "--durable"};
                };
        secondary = pair.startSecondary(buffers);
        primary = pair.startPrimary("--sync", "none");
        cuts.put(epoch(pair.primaryMonitor()), new History.Cut(joinBegan, System.nanoTime()));
        primaryGuest = new Writers(primary.uri(), random);
        secondaryGuest = new Writers(secondary.uri(), random);
    }

    /// Plays it to its end and judges what is left.
    void play(Ending ending) throws Exception {
        if (ending == Ending.PRIMARY_KILLED_FAILOVER_TO_LATEST) {
            secondaryGuest.stop();
        }
        for (int count = random.nextInt(4); count > 0; count--) {
            awaitWrites(random.nextInt(300));
            checkpoint();
        }
        if (ending == Ending.PRIMARY_KILLED_FAILOVER_TO_LATEST) {
            checkpoint();
        }
        awaitWrites(random.nextInt(300));
        assertEquals(List.of(), primaryGuest.failures());
        assertEquals(List.of(), secondaryGuest.failures());
        endWith(ending);
    }

    @Override
    public void close() {
        primaryGuest.close();
        secondaryGuest.close();
        pair.close();
    }

    @Override
    public String toString() {
        return "primary: %s\nsecondary: %s".formatted(primary, secondary);
    }

    private void endWith(Ending ending) throws Exception {
        Thread checkpoint = new Thread(this::checkpointThatMayFail);
        boolean inTheMiddle = random.nextBoolean();
        if (inTheMiddle) {
            checkpoint.start();
        }
        switch (ending) {
            case PRIMARY_KILLED_FAILOVER_TO_CHECKPOINT, PRIMARY_KILLED_FAILOVER_TO_LATEST ->
                    primary.kill9();
            case SECONDARY_KILLED, PRIMARY_RESYNCS -> secondary.kill9();
            case BOTH_KILLED_SECONDARY_RESTARTS -> killBoth();
            case LINK_CUT_FAILOVER_TO_CHECKPOINT, LINK_CUT_PRIMARY_GOES_ON -> pair.cutLink();
            case NOTHING_HAPPENS -> {}
        }
        if (inTheMiddle) {
            checkpoint.join();
        }
        switch (ending) {
            case PRIMARY_KILLED_FAILOVER_TO_CHECKPOINT, LINK_CUT_FAILOVER_TO_CHECKPOINT ->
                    judgeFailover("checkpoint");
            case PRIMARY_KILLED_FAILOVER_TO_LATEST -> judgeFailover("latest");
            case BOTH_KILLED_SECONDARY_RESTARTS -> judgeRestart();
            case SECONDARY_KILLED, LINK_CUT_PRIMARY_GOES_ON -> judgePrimary("degraded");
            case NOTHING_HAPPENS -> {
                checkpoint();
                judgePrimary("running");
                checkpoint();
                assertEquals(readDisk(pair.primaryDisk), readDisk(pair.secondaryDisk));
            }
            case PRIMARY_RESYNCS -> {
                resync();
                boolean durable = List.of(buffers).contains("--durable");
                List<Ending> endings =
                        Stream.of(Ending.values())
                                .filter(next -> next != Ending.PRIMARY_RESYNCS)
                                .filter(next -> durable || !next.needsDurableBuffers())
                                .toList();
                play(endings.get(random.nextInt(endings.size())));
            }
        }
    }

    /// The secondary comes back with its stale disk and is paired anew; the guest writes on.
    private void resync() {
        awaitState(pair.primaryMonitor(), "degraded");
        secondaryGuest.close();
        secondary = pair.startSecondary(buffers);
        awaitState(pair.secondaryMonitor(), "stale");
        long began = System.nanoTime();
        pair.resync().expectSuccess();
        awaitState(pair.primaryMonitor(), "running");
        cuts.put(epoch(pair.primaryMonitor()), new History.Cut(began, System.nanoTime()));
        secondaryGuest = new Writers(secondary.uri(), random);
    }

    /// Of what the secondary's guest wrote, a restart promises what was flushed.
    private void killBoth() throws BlockException {
        secondaryGuest.stop();
        secondaryGuest.flush();
        secondary.kill9();
        primary.kill9();
    }

    /// The secondary finds its buffers: the checkpoint, and what its own guest flushed since.
    private void judgeRestart() throws Exception {
        primaryGuest.close();
        secondary = pair.startSecondary(buffers);
        awaitState(pair.secondaryMonitor(), "degraded");
        History.Cut cut = cuts.get(epoch(pair.secondaryMonitor()));
        assertTrue(cut != null, () -> "it was never asked for: " + cuts);
        judge("before a failover", readWhole(secondary.uri()), secondaryGuest.history, cut);
        pair.failover("--to", "checkpoint").expectSuccess();
        judge("after it", readWhole(secondary.uri()), secondaryGuest.history, cut);
        awaitState(pair.secondaryMonitor(), "degraded");
        assertEquals(0, secondary.terminate(), secondary::errors);
        judge("in the disk", readDisk(pair.secondaryDisk), secondaryGuest.history, cut);
    }

    /// The secondary takes over; its guest writes on and must not notice.
    private void judgeFailover(String to) {
        awaitState(pair.secondaryMonitor(), "degraded");
        long epoch = epoch(pair.secondaryMonitor());
        pair.failover("--to", to).expectSuccess();
        secondaryGuest.stop();
        primaryGuest.close();
        assertEquals(List.of(), secondaryGuest.failures(), "the guest noticed the failover");
        History.Cut cut = to.equals("latest") ? History.Cut.AT_THE_END : cuts.get(epoch);
        assertTrue(cut != null, () -> "epoch " + epoch + " was never asked for: " + cuts);
        History since = to.equals("latest") ? new History() : secondaryGuest.history;
        judge("behind the guest's export", readWhole(secondary.uri()), since, cut);
        awaitState(pair.secondaryMonitor(), "degraded");
        assertEquals(0, secondary.terminate(), secondary::errors);
        judge("in the disk's file", readDisk(pair.secondaryDisk), since, cut);
    }

    private void judgePrimary(String state) {
        awaitState(pair.primaryMonitor(), state);
        primaryGuest.stop();
        assertEquals(List.of(), primaryGuest.failures(), "the primary's guest noticed");
        judge(
                "behind the guest's export",
                readWhole(primary.uri()),
                new History(),
                History.Cut.AT_THE_END);
        judge(
                "in the disk's file",
                readDisk(pair.primaryDisk),
                new History(),
                History.Cut.AT_THE_END);
    }

    private void judge(String where, ByteBuffer disk, History since, History.Cut cut) {
        List<String> findings = History.judge(disk, primaryGuest.history, since, cut);
        assertEquals(List.of(), findings.stream().limit(10).toList(), where);
    }

    private void awaitWrites(int count) {
        int target = primaryGuest.history.size() + count;
        await().atMost(SOON)
                .pollInterval(Duration.ofMillis(1))
                .until(
                        () ->
                                primaryGuest.history.size() >= target
                                        || !primaryGuest.failures().isEmpty());
    }

    private void checkpoint() {
        long began = System.nanoTime();
        try (Monitor monitor = new Monitor(pair.primaryMonitor())) {
            monitor.execute("colo-checkpoint-now", "{}");
        }
        cuts.put(epoch(pair.primaryMonitor()), new History.Cut(began, System.nanoTime()));
    }

    /// Only the secondary's record knows whether it happened; if it did, then within this span.
    private void checkpointThatMayFail() {
        long epoch = cuts.keySet().stream().mapToLong(Long::longValue).max().orElseThrow() + 1;
        long began = System.nanoTime();
        try (Monitor monitor = new Monitor(pair.primaryMonitor())) {
            monitor.attempt("colo-checkpoint-now", "{}");
        } catch (UncheckedIOException e) {
            // The primary was killed before it could answer.
        }
        cuts.put(epoch, new History.Cut(began, System.nanoTime()));
    }

    private static long epoch(String address) {
        return status(address).get("epoch").asLong();
    }

    private static void awaitState(String address, String state) {
        await().atMost(SOON)
                .untilAsserted(() -> assertEquals(state, status(address).get("state").asText()));
    }

    private static JsonNode status(String address) {
        try (Monitor monitor = new Monitor(address)) {
            return monitor.execute("colo-status", "{}");
        }
    }

    private static ByteBuffer readWhole(String uri) {
        try (RemoteDevice disk = RemoteDevice.open(RemoteOptions.of(NbdUri.parse(uri)))) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(SIZE);
            disk.read(0, bytes);
            disk.flush();
            return bytes.flip();
        } catch (BlockException e) {
            throw new AssertionError(e);
        }
    }

    /// The bytes of a disk whose side was flushed, in whatever format they are.
    private static ByteBuffer readDisk(Path file) {
        try {
            if (file.toString().endsWith(".qcow2")) {
                Path raw = file.resolveSibling(file.getFileName() + ".raw");
                Peer.run("qemu-img", "convert", "-U", "-O", "raw", "" + file, "" + raw)
                        .expectSuccess();
                return ByteBuffer.wrap(Files.readAllBytes(raw));
            }
            return ByteBuffer.wrap(Files.readAllBytes(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
