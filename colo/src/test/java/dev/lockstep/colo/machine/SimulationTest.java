package dev.lockstep.colo.machine;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/// Two machines in a hostile world, a hundred thousand times.
///
/// `-Dlockstep.seed=N -Dlockstep.histories=1` replays one history and prints it;
/// `-Dlockstep.histories=10000000` soaks.
class SimulationTest {
    private static final int MOVES = 200;
    private static final long SEED = Long.getLong("lockstep.seed", 1);
    private static final int HISTORIES = Integer.getInteger("lockstep.histories", 100_000);

    /// A broken daemon must be caught within this many histories.
    private static final int BROKEN_HISTORIES = 20_000;

    @Test
    void a_pair_keeps_every_safety_rule() {
        Map<Probe, Integer> probes = new EnumMap<>(Probe.class);
        for (int history = 0; history < HISTORIES; history++) {
            long seed = SEED + history;
            try {
                play(seed, Twist.NONE, probes);
            } catch (RuntimeException violation) {
                fail(
                        "history %d broke a rule: %s\nreplay it with -Dlockstep.seed=%d -Dlockstep.histories=1"
                                .formatted(history, violation, seed),
                        violation);
            }
        }
        List<Probe> missed = new ArrayList<>();
        for (Probe probe : Probe.values()) {
            System.out.printf("%9d  %s%n", probes.getOrDefault(probe, 0), probe);
            if (!probes.containsKey(probe)) {
                missed.add(probe);
            }
        }
        assertTrue(HISTORIES < 100_000 || missed.isEmpty(), "never reached: " + missed);
    }

    @ParameterizedTest
    @EnumSource(Broken.class)
    void a_broken_daemon_is_caught(Broken broken) {
        Map<Probe, Integer> probes = new EnumMap<>(Probe.class);
        for (int history = 0; history < BROKEN_HISTORIES; history++) {
            try {
                play(SEED + history, broken, probes);
            } catch (Violation caught) {
                System.out.printf("%s: history %d: %s%n", broken, history, caught.getMessage());
                return;
            }
        }
        fail("no history of %d found out that it %s".formatted(BROKEN_HISTORIES, broken));
    }

    private static void play(long seed, Twist twist, Map<Probe, Integer> probes) {
        boolean traced = HISTORIES == 1 && twist.equals(Twist.NONE);
        new World(seed, twist, probes, traced ? System.out::println : null).run(MOVES);
    }
}
