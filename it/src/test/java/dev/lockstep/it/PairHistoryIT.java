package dev.lockstep.it;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/// Random histories of a real pair, one after the other.
///
/// `-Dlockstep.seed=N` begins with that seed; `-Dlockstep.rounds=N` runs so many (the soak).
class PairHistoryIT {
    private static final int ROUNDS = Integer.getInteger("lockstep.rounds", 12);
    private static final long SEED = Long.getLong("lockstep.seed", System.nanoTime());

    @TempDir Path folder;

    @Test
    void whatever_happens_the_survivor_holds_what_was_promised() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            long seed = SEED + round;
            PairHistory.Ending[] endings = PairHistory.Ending.values();
            PairHistory.Ending ending = endings[Math.floorMod(seed, endings.length)];
            System.out.printf("history: -Dlockstep.seed=%d -Dlockstep.rounds=1 %s%n", seed, ending);
            Path own = Files.createDirectory(folder.resolve("round" + round));
            try (PairHistory history = new PairHistory(own, new Random(seed), ending)) {
                try {
                    history.play(ending);
                } catch (AssertionError e) {
                    throw new AssertionError("seed %d, %s\n%s".formatted(seed, ending, history), e);
                }
            }
        }
    }
}
