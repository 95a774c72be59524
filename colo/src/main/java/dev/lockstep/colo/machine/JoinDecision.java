package dev.lockstep.colo.machine;

import java.util.Optional;

/// Whether and how a pair goes on, from what the two sides have stored.
///
/// Both sides ask the same question with the same records: the primary before it stores anything,
/// the secondary again before it obeys.
public sealed interface JoinDecision {
    /// The disks are equal as they are: same generation, both stopped cleanly.
    record Resume() implements JoinDecision {}

    /// The disks are equal because the operator says so.
    record Trust() implements JoinDecision {}

    /// Copy the primary's disk over the secondary's.
    record FullSync() implements JoinDecision {}

    /// No; a sentence with the reason and the choices.
    record Refuse(String reason) implements JoinDecision {}

    /// Decides. `force` is the operator's consent to overwriting a history that only the secondary
    /// holds.
    static JoinDecision decide(
            Optional<DurableRecord> primary,
            Optional<DurableRecord> secondary,
            SyncMode sync,
            boolean force) {
        if (sync == SyncMode.UNSPECIFIED) {
            String obstacle = obstacleToResuming(primary, secondary);
            return obstacle.isEmpty() ? new Resume() : new Refuse(withChoices(obstacle));
        }
        String loss = lossByOverwriting(primary, secondary);
        if (!loss.isEmpty() && !force) {
            return new Refuse(
                    loss
                            + "; keep it by failing over to the secondary or starting it as the"
                            + " primary, or overwrite it with --force");
        }
        return sync == SyncMode.FULL ? new FullSync() : new Trust();
    }

    private static String obstacleToResuming(
            Optional<DurableRecord> primary, Optional<DurableRecord> secondary) {
        if (primary.isEmpty() || secondary.isEmpty()) {
            return primary.isEmpty() && secondary.isEmpty()
                    ? "these two disks were never a pair"
                    : "the %s was never in a pair"
                            .formatted(primary.isEmpty() ? "primary" : "secondary");
        }
        DurableRecord ours = primary.get();
        DurableRecord theirs = secondary.get();
        if (!ours.identity().pair().equals(theirs.identity().pair())) {
            return "the two disks belong to different pairs";
        }
        String obstacle = obstacleIn("primary", ours);
        if (obstacle.isEmpty()) {
            obstacle = obstacleIn("secondary", theirs);
        }
        if (!obstacle.isEmpty()) {
            return obstacle;
        }
        if (!ours.identity().generation().equals(theirs.identity().generation())) {
            return "the two disks hold different generations";
        }
        return ours.standing() == theirs.standing() ? "both disks claim the same role" : "";
    }

    /// Why this record alone rules out going on without a copy.
    private static String obstacleIn(String side, DurableRecord record) {
        return switch (record.standing()) {
            case ALONE ->
                    "the primary's disk has writes that its peer lacks".replace("primary", side);
            case PROMOTED -> "the %s was promoted and went on alone".formatted(side);
            case FAILING_OVER -> "the %s is in the middle of a failover".formatted(side);
            case STALE -> "the %s was told that it is stale".formatted(side);
            case INCONSISTENT -> "the %s holds half a copy".formatted(side);
            case PAIRED, FOLLOWING, CHECKPOINTING ->
                    record.open()
                            ? "the %s was not stopped cleanly, and a write may be on one disk only"
                                    .formatted(side)
                            : "";
        };
    }

    /// What only the secondary holds, or nothing.
    private static String lossByOverwriting(
            Optional<DurableRecord> primary, Optional<DurableRecord> secondary) {
        if (secondary.isEmpty() || secondary.get().standing() == Standing.INCONSISTENT) {
            return "";
        }
        DurableRecord theirs = secondary.get();
        if (primary.isEmpty()) {
            return "the secondary's disk belongs to a pair that the primary's disk was never in";
        }
        DurableRecord ours = primary.get();
        if (!ours.identity().pair().equals(theirs.identity().pair())) {
            return "the secondary's disk belongs to a different pair";
        }
        if (theirs.identity().descendsFrom(ours.identity())) {
            return "the secondary is newer than the primary";
        }
        if (!ours.identity().contains(theirs.identity())) {
            return "the secondary went its own way and has writes that the primary lacks";
        }
        if (ours.role() == Role.SECONDARY && theirs.role() == Role.PRIMARY) {
            return "the secondary's disk was the primary's until now";
        }
        return "";
    }

    private static String withChoices(String reason) {
        return reason
                + "; choose --sync full to copy the primary's disk over the secondary's, or --sync"
                + " none if both disks hold the same bytes";
    }
}
