package dev.lockstep.block.quorum;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/// One request made to every child at once, and how each fared.
///
/// @param children whom it was made to
/// @param failures for each child why it failed, or null if it did not
record Ballot(List<QuorumChild> children, List<@Nullable BlockException> failures) {
    /// What a child is asked to do.
    interface Vote {
        void cast(int index, QuorumChild child) throws BlockException;
    }

    /// Asks every child at once and waits for all: the first on this thread, the others on virtual
    /// ones.
    static Ballot hold(List<QuorumChild> children, Vote vote) {
        List<@Nullable BlockException> failures =
                new ArrayList<>(Collections.nCopies(children.size(), null));
        List<Thread> others = new ArrayList<>();
        for (int index = 1; index < children.size(); index++) {
            int number = index;
            others.add(
                    Thread.startVirtualThread(
                            () -> failures.set(number, cast(vote, number, children.get(number)))));
        }
        failures.set(0, cast(vote, 0, children.getFirst()));
        others.forEach(Ballot::joinUninterruptibly);
        return new Ballot(children, failures);
    }

    boolean failed(int index) {
        return failures.get(index) != null;
    }

    long successes() {
        return failures.stream().filter(failure -> failure == null).count();
    }

    /// The first failure of the kind that most children failed with.
    BlockException commonest() {
        Map<Kind, Integer> counts = new EnumMap<>(Kind.class);
        BlockException found = null;
        for (BlockException failure : failures) {
            if (failure != null) {
                counts.merge(failure.kind(), 1, Integer::sum);
            }
        }
        for (BlockException failure : failures) {
            if (failure != null
                    && (found == null || votes(counts, failure) > votes(counts, found))) {
                found = failure;
            }
        }
        return found == null ? new BlockException(Kind.IO, "no child failed") : found;
    }

    private static int votes(Map<Kind, Integer> counts, BlockException failure) {
        return counts.getOrDefault(failure.kind(), 0);
    }

    /// A child whose device breaks in an unforeseen way has failed like any other.
    private static @Nullable BlockException cast(Vote vote, int index, QuorumChild child) {
        try {
            vote.cast(index, child);
            return null;
        } catch (BlockException e) {
            return e;
        } catch (RuntimeException e) {
            return new BlockException(Kind.IO, child.node() + ": " + e, e);
        }
    }

    private static void joinUninterruptibly(Thread thread) {
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
