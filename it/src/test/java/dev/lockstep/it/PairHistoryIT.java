package dev.lockstep.it;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Path;
import java.util.Random;
import java.util.stream.LongStream;

/// Random histories of a real pair.
///
/// `-Dlockstep.seed=N` begins with that seed; `-Dlockstep.rounds=N` runs so many (the soak).
@Execution(ExecutionMode.CONCURRENT)
class PairHistoryIT {
    private static final int ROUNDS = Integer.getInteger("lockstep.rounds", 12);
    private static final long SEED = Long.getLong("lockstep.seed", System.nanoTime());

    @TempDir Path folder;

    static LongStream seeds() {
        return LongStream.range(SEED, SEED + ROUNDS);
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void whatever_happens_the_survivor_holds_what_was_promised(long seed) throws Exception {
        PairHistory.Ending[] endings = PairHistory.Ending.values();
        PairHistory.Ending ending = endings[Math.floorMod(seed, endings.length)];
        System.out.printf("history: -Dlockstep.seed=%d -Dlockstep.rounds=1 %s%n", seed, ending);
        try (PairHistory history = new PairHistory(folder, new Random(seed), ending)) {
            try {
                history.play(ending);
            } catch (AssertionError e) {
                throw new AssertionError("seed %d, %s\n%s".formatted(seed, ending, history), e);
            }
        }
    }
}
