package dev.lockstep.colo.machine;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/// Everything that one side believes, as one immutable value.
///
/// `record` is the record as last asked to be stored, `durable` as last known to be on stable
/// storage; they differ while a store is under way. `session` is the one that the target is open
/// for (secondary) or that writes go through (primary). `restarted` says that the record was left
/// open by an earlier process, so that what was in flight then is unknown. `yields` is the
/// `--force` that a secondary was started with. `wanted` is the sync that a primary was started
/// with. `deferred` are requests that wait for the job to end.
public record Node(
        Role role,
        State state,
        Settings settings,
        Nonce incarnation,
        Optional<DurableRecord> record,
        Optional<DurableRecord> durable,
        Optional<Nonce> session,
        Liveness liveness,
        boolean restarted,
        boolean yields,
        boolean guestWrote,
        Job job,
        List<Event> deferred,
        Optional<Telling> telling,
        Optional<String> error,
        long tickets) {

    /// More requests than this waiting behind one job are refused: a manager that asks again before
    /// it is answered needs two or three.
    static final int DEFERRED_MAX = 16;

    public Node {
        deferred = List.copyOf(deferred);
    }

    /// When the peer was last heard, and when our own clock last ticked. Until it is heard for the
    /// first time (`everHeard`), `heardNanos` is when this side began.
    public record Liveness(
            boolean connected, boolean everHeard, long heardNanos, long tickedNanos) {
        /// How long the peer has been silent; null if it was never heard.
        public @Nullable Long silentMillis(long nowNanos) {
            return everHeard ? Duration.ofNanos(nowNanos - heardNanos).toMillis() : null;
        }
    }

    /// A primary that went on alone still has to tell its peer; `call` is 0 between attempts.
    public record Telling(long call, long triedNanos) {}

    /// Whether the peer is in the session and was heard within [Timing#DEAD_NANOS].
    public boolean hearsPeer() {
        return liveness.connected();
    }

    /// Whether this side's disk is known to hold what the pair agreed on.
    public boolean inSync() {
        return switch (state) {
            case RUNNING -> true;
            case WAITING -> record.isPresent() && !record.get().open();
            case SYNCING, DEGRADED, FAILING_OVER, STALE, INCONSISTENT, FAILED -> false;
        };
    }

    /// Whether a primary lost its peer and holds its guest's writes for want of one.
    public boolean holdsWrites() {
        return role == Role.PRIMARY
                && state == State.DEGRADED
                && Acknowledgement.of(this) == Acknowledgement.HOLD;
    }

    /// Whether there is a checkpoint to show the secondary's guest, or to fail over to.
    public boolean hasCheckpoint() {
        return durable.map(DurableRecord::standing)
                        .filter(known -> known == Standing.FOLLOWING || known == Standing.STALE)
                        .isPresent()
                && !(restarted && durable.get().volatileBuffers());
    }

    /// Whether this side's guest is served; otherwise its requests get an I/O error.
    public boolean servesGuest() {
        if (state == State.FAILED) {
            return false;
        }
        return role == Role.PRIMARY || hasCheckpoint();
    }
}
