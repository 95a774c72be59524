package dev.lockstep.colo.machine;

import java.util.Optional;

/// What a start command does with the state that it finds stored: the table of
/// `docs/replication-states.md`.
public sealed interface StartDecision {
    /// Ask the secondary, and let [JoinDecision] decide. `alone` says that the disk may be served
    /// without a peer if the secondary cannot be reached. Durable buffers of an earlier life as a
    /// secondary stay untouched until the record says that this side leads: the join may be
    /// refused.
    record Join(boolean alone) implements StartDecision {}

    /// Wait for a primary, in this state.
    record Follow(State state) implements StartDecision {}

    /// Go on as the primary that a failover made of this side: in the state `degraded`, or
    /// `failing-over` while buffers remain to be committed.
    record ServeOn(State state) implements StartDecision {}

    /// Do not start; a sentence with the reason and the choices.
    record Refuse(String reason) implements StartDecision {}

    /// Decides for a side that is told to be `role`.
    static StartDecision decide(Optional<DurableRecord> stored, Role role, boolean force) {
        return role == Role.PRIMARY ? asPrimary(stored, force) : asSecondary(stored, force);
    }

    private static StartDecision asPrimary(Optional<DurableRecord> stored, boolean force) {
        if (stored.isEmpty()) {
            return new Join(force);
        }
        DurableRecord record = stored.get();
        return switch (record.standing()) {
            case PAIRED, CHECKPOINTING -> new Join(force);
            case ALONE, PROMOTED -> new Join(true);
            case FAILING_OVER ->
                    record.volatileBuffers()
                            ? forced(force, new Join(true), LOST_BUFFERS)
                            : new Refuse(
                                    "this disk is in the middle of a failover; start it again with"
                                            + " `lockstep colo secondary`, which completes it");
            case FOLLOWING ->
                    record.open() ? forced(force, new Join(true), A_SECONDARY) : new Join(force);
            case STALE ->
                    forced(force, new Join(true), "this disk is a copy that is known to be behind");
            case INCONSISTENT -> forced(force, new Join(true), "this disk holds half a copy");
        };
    }

    private static StartDecision asSecondary(Optional<DurableRecord> stored, boolean force) {
        if (stored.isEmpty()) {
            return new Follow(State.WAITING);
        }
        DurableRecord record = stored.get();
        return switch (record.standing()) {
            case PAIRED, CHECKPOINTING -> new Follow(State.WAITING);
            case ALONE ->
                    forced(force, new Follow(State.WAITING), "this disk is newer than its peer");
            case PROMOTED -> force ? new Follow(State.WAITING) : new ServeOn(State.DEGRADED);
            case FAILING_OVER ->
                    record.volatileBuffers()
                            ? forced(force, new Follow(State.INCONSISTENT), LOST_BUFFERS)
                            : new ServeOn(State.FAILING_OVER);
            case FOLLOWING -> new Follow(record.open() ? State.DEGRADED : State.WAITING);
            case STALE -> new Follow(State.STALE);
            case INCONSISTENT -> new Follow(State.INCONSISTENT);
        };
    }

    private static StartDecision forced(boolean force, StartDecision outcome, String reason) {
        return force
                ? outcome
                : new Refuse(reason + "; start it in its own role, or overrule with --force");
    }

    /// Why a disk whose failover was interrupted is worth nothing when its buffers were in memory.
    String LOST_BUFFERS =
            "a failover was interrupted while the buffers it was committing were in memory, so this"
                    + " disk holds neither the checkpoint nor the latest writes";

    /// Why a copy that was in a session does not simply lead.
    String A_SECONDARY =
            "this disk is a secondary whose session was open, so its primary may be ahead of it";
}
