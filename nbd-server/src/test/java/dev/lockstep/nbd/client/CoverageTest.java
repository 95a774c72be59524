package dev.lockstep.nbd.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;

import java.util.BitSet;
import java.util.Random;

class CoverageTest {
    private static final int ROUNDS = 20_000;

    @Test
    void chunks_of_any_order_agree_with_a_set_of_bytes() {
        Random random = new Random(Seeds.next("CoverageTest"));
        for (int round = 0; round < ROUNDS; round++) {
            int length = 1 + random.nextInt(12);
            Coverage coverage = new Coverage(length);
            BitSet model = new BitSet();
            boolean accepted = true;
            while (accepted && model.cardinality() < length) {
                int start = random.nextInt(length + 2) - 1;
                int bytes = random.nextInt(4);
                boolean fits =
                        bytes > 0
                                && start >= 0
                                && start + bytes <= length
                                && model.get(start, start + bytes).isEmpty();
                accepted = adds(coverage, start, bytes);
                assertEquals(fits, accepted, model::toString);
                if (fits) {
                    model.set(start, start + bytes);
                    assertEquals(model.cardinality() == length, coverage.isComplete());
                }
            }
        }
    }

    private static boolean adds(Coverage coverage, int start, int bytes) {
        try {
            coverage.add(start, bytes);
            return true;
        } catch (ProtocolException _) {
            return false;
        }
    }
}
