package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.OverlayHistory.Move;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.Random;

/// Whatever a power cut leaves of map, data and the disk below, the overlay opens and holds what
/// was flushed, what is preserved, and nothing from before it was made empty.
///
/// The property `lockstep.proof.seconds` says for how long random histories are tried.
class OverlayCrashTest {
    private static final int SECTOR = RecordingDevice.SECTOR_BYTES;
    private static final int CLUSTER_SECTORS = OverlayFiles.CLUSTER / SECTOR;
    private static final long NANOS =
            Integer.getInteger("lockstep.proof.seconds", 20) * 1_000_000_000L / 10;

    /// So long are the histories of which all are tried.
    private static final int LENGTH = 3;

    /// Two sectors that are used: in two clusters of two, the second one short.
    private static final int[] USED = {1, CLUSTER_SECTORS + 2};

    private long states;

    /// Few sectors are not zero, so that the subsets of them that a crash may leave are few, and
    /// all are tried.
    @Test
    void every_crash_of_every_short_history_leaves_what_was_promised() throws Exception {
        int kinds = OverlayHistory.MOVES.size() * USED.length;
        int histories = (int) Math.pow(kinds, LENGTH);
        for (int number = 0; number < histories; number++) {
            Move[] moves = new Move[LENGTH + 1];
            int[] sectors = new int[LENGTH + 1];
            for (int step = 0, rest = number; step < LENGTH; step++, rest /= kinds) {
                moves[step] = OverlayHistory.MOVES.get(rest % kinds / USED.length);
                sectors[step] = USED[rest % USED.length];
            }
            // Another sync may write what is not to be durable yet, and so reveal a mistake.
            moves[LENGTH] = Move.WRITE_DURABLY;
            sectors[LENGTH] = USED[0];
            prove(moves, sectors);
        }
        System.out.printf("OverlayCrashTest: %d histories, %d states%n", histories, states);
        assertTrue(states > 10L * histories, "hardly any states");
    }

    private void prove(Move[] moves, int[] sectors) throws Exception {
        byte[] below = new byte[(CLUSTER_SECTORS + 4) * SECTOR];
        for (int sector : USED) {
            Arrays.fill(below, sector * SECTOR, (sector + 1) * SECTOR, (byte) -1);
        }
        OverlayFiles files = OverlayFiles.create(below, below.length);
        OverlayHistory history = new OverlayHistory(files);
        try {
            for (int step = 0; step < moves.length; step++) {
                history.play(moves[step], sectors[step]);
                history.check();
            }
            judge(files, history, 1 << 10);
        } catch (AssertionError e) {
            throw new AssertionError(Arrays.toString(moves) + Arrays.toString(sectors), e);
        }
    }

    private void judge(OverlayFiles files, OverlayHistory history, int most) throws Exception {
        states +=
                new CrashStates(files.devices())
                        .judgeEach(
                                new Random(1),
                                most,
                                state -> {
                                    OverlayFiles survived = OverlayFiles.of(state.files());
                                    Gate gate = new Gate(survived.open());
                                    byte[] found = DiskModel.read(gate, 0, (int) gate.size());
                                    try {
                                        history.guest.checkCrashed(state.instant(), found);
                                    } catch (AssertionError e) {
                                        throw new AssertionError(
                                                "at %d, %s"
                                                        .formatted(state.instant(), state.choice()),
                                                e);
                                    }
                                });
    }

    @Test
    void no_crash_of_a_long_history_with_many_writers_loses_what_was_promised() throws Exception {
        Random seeds = new Random(Seeds.next("OverlayCrashTest"));
        long end = System.nanoTime() + NANOS;
        int histories = 0;
        for (; histories < 20 || System.nanoTime() < end; histories++) {
            long seed = seeds.nextLong();
            try {
                proveLong(new Random(seed), 1 + histories % 4);
            } catch (AssertionError e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
        System.out.printf("OverlayCrashTest: %d histories, %d states%n", histories, states);
        assertTrue(states > 10L * histories, "hardly any states");
    }

    /// Writers share clusters, and no sectors. What concerns whole clusters is done by one alone.
    private void proveLong(Random random, int writers) throws Exception {
        int sectors = 5 * CLUSTER_SECTORS + 3;
        byte[] below = BlockDeviceContract.randomBytes(random, sectors * SECTOR);
        OverlayFiles files = OverlayFiles.create(below, below.length);
        OverlayHistory history = new OverlayHistory(files);
        long seed = random.nextLong();
        for (int round = 0; round < 3; round++) {
            int salt = round;
            BlockDeviceContract.runAll(
                    writers,
                    writer -> {
                        Random own = new Random(seed + 31L * salt + writer);
                        for (int step = 0; step < 8; step++) {
                            Move move = random(own);
                            boolean shared = move == Move.ZERO || move.compareTo(Move.COMMIT) >= 0;
                            int stripe = own.nextInt(sectors / writers);
                            if (!shared || writers == 1) {
                                history.play(move, stripe * writers + writer);
                            }
                        }
                    });
            history.check();
            if (random.nextBoolean()) {
                history.play(random(random), 0);
            }
        }
        judge(files, history, 40);
    }

    private static Move random(Random random) {
        return OverlayHistory.MOVES.get(random.nextInt(OverlayHistory.MOVES.size()));
    }
}
