package dev.lockstep.colo.machine;

import java.util.Locale;
import java.util.Set;

/// Where a side is. The names, in lower case, are what `status --json` shows.
public enum State {
    /// No peer yet: a secondary awaits its first session, a primary asks to join.
    WAITING("waits for its peer"),
    /// A full copy is on its way; the secondary is no copy yet.
    SYNCING("copies the primary's whole disk to the secondary"),
    /// Both sides have what the guest was told is written.
    RUNNING("holds every acknowledged write, as its peer does"),
    /// The peer is lost. A primary goes on alone or holds its guest; a secondary keeps its copy.
    DEGRADED("goes on without its peer, or holds its guest's writes for want of one"),
    /// A failover has taken effect, and the buffers are being committed to the disk behind it.
    FAILING_OVER("serves as the primary while its buffers are committed to its disk"),
    /// A secondary whose primary said that it went on alone.
    STALE("was told that its primary went on without it"),
    /// A secondary whose full sync broke off.
    INCONSISTENT("holds half a copy, good for nothing but another full sync"),
    /// The disk or the state file is unusable: every request gets an I/O error.
    FAILED("cannot use its disk or its state file");

    private final String sentence;

    State(String sentence) {
        this.sentence = sentence;
    }

    /// What a side in this state does, as the predicate of a sentence.
    public String sentence() {
        return sentence;
    }

    /// The name in `status --json`.
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /// Whether a side may go from here to `next`.
    boolean mayBecome(State next) {
        return next == FAILED || successors().contains(next);
    }

    private Set<State> successors() {
        return switch (this) {
            case WAITING -> Set.of(SYNCING, RUNNING, STALE, DEGRADED, FAILING_OVER);
            case SYNCING -> Set.of(RUNNING, DEGRADED, INCONSISTENT);
            case RUNNING -> Set.of(DEGRADED);
            case DEGRADED -> Set.of(SYNCING, RUNNING, STALE, FAILING_OVER, WAITING);
            case FAILING_OVER -> Set.of(DEGRADED);
            case STALE -> Set.of(SYNCING, RUNNING, FAILING_OVER, DEGRADED);
            case INCONSISTENT -> Set.of(SYNCING, RUNNING, DEGRADED, FAILING_OVER);
            case FAILED -> Set.of();
        };
    }
}
