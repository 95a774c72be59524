package dev.lockstep.colo.machine;

import java.util.Optional;

/// A failover: how a secondary becomes the primary.
///
/// The new generation is durable before the guest's first write goes to the disk, so the old
/// primary is a stranger when it returns.
final class Promotion {
    private Promotion() {}

    static void begin(Turn turn, long request, Order.Failover order) {
        Optional<String> refusal = refusal(turn.node(), order.to(), order.force());
        if (refusal.isPresent()) {
            turn.refuse(request, refusal.get());
            return;
        }
        SecondarySide.endSession(turn, "failover");
        long ticket = turn.ticket();
        turn.act(new Action.Fence(ticket));
        turn.job =
                new Job.Promoting(
                        Job.Promoting.Stage.FENCING, ticket, request, order.to(), order.force());
    }

    /// Begins, or begins again, to commit the buffers of a failover whose record is stored.
    static void commit(Turn turn) {
        long ticket = turn.ticket();
        turn.act(new Action.Commit(ticket));
        turn.job =
                new Job.Promoting(
                        Job.Promoting.Stage.COMMITTING, ticket, 0, FailoverTo.CHECKPOINT, false);
    }

    /// Whether this event is the one that the failover waits for.
    static boolean concerns(Job.Promoting job, Event event) {
        return switch (event) {
            case Event.Done done -> done.ticket() == job.ticket();
            case Event.Stored stored -> stored.ticket() == job.ticket();
            case Event.Failed failed -> failed.ticket() == job.ticket();
            default -> false;
        };
    }

    static void advance(Turn turn, Job.Promoting job, Event event) {
        if (event instanceof Event.Failed failed) {
            failed(turn, job, failed);
            return;
        }
        switch (job.stage()) {
            case FENCING -> fenced(turn, job);
            case DRAINING -> drained(turn, job);
            case STORING -> promoted(turn, job);
            case COMMITTING -> {
                DurableRecord record = turn.ours().as(Standing.PROMOTED);
                advance(turn, job, Job.Promoting.Stage.SETTLING, turn.store(record));
            }
            case SETTLING -> {
                turn.act(new Action.DropBuffers());
                turn.error = Optional.empty();
                turn.become(State.DEGRADED, "buffers committed");
                turn.idle();
            }
        }
    }

    private static void fenced(Turn turn, Job.Promoting job) {
        if (job.to() == FailoverTo.CHECKPOINT) {
            branch(turn, job, Standing.FAILING_OVER);
            return;
        }
        turn.act(new Action.ShutGuest());
        long ticket = turn.ticket();
        turn.act(new Action.Drain(ticket, Optional.empty()));
        advance(turn, job, Job.Promoting.Stage.DRAINING, ticket);
    }

    private static void drained(Turn turn, Job.Promoting job) {
        if (turn.guestWrote && !job.force()) {
            turn.act(new Action.OpenGuest());
            turn.refuse(
                    job.request(),
                    "this side's guest has written since the checkpoint, and a failover to the"
                            + " latest would drop it; fail over to the checkpoint, or add --force");
            turn.idle();
            return;
        }
        branch(turn, job, Standing.PROMOTED);
    }

    private static void branch(Turn turn, Job.Promoting job, Standing standing) {
        Nonce generation = turn.fresh();
        Identity identity =
                turn.record()
                        .map(record -> record.identity().branch(generation))
                        .orElseGet(() -> Identity.first(generation));
        DurableRecord next =
                new DurableRecord(standing, identity, true, turn.settings.volatileBuffers());
        advance(turn, job, Job.Promoting.Stage.STORING, turn.store(next));
    }

    private static void promoted(Turn turn, Job.Promoting job) {
        turn.role = Role.PRIMARY;
        turn.restarted = false;
        turn.yields = false;
        if (job.to() == FailoverTo.CHECKPOINT) {
            turn.become(State.FAILING_OVER, "failover to the checkpoint");
            commit(turn);
        } else {
            turn.act(new Action.DropBuffers());
            turn.act(new Action.OpenGuest());
            turn.become(State.FAILING_OVER, "failover to the latest");
            turn.become(State.DEGRADED, "there are no buffers to commit");
            turn.idle();
        }
        turn.accept(job.request());
    }

    private static void failed(Turn turn, Job.Promoting job, Event.Failed failed) {
        if (failed.culprit() == Event.Culprit.STATE_FILE) {
            turn.refuse(job.request(), failed.reason());
            turn.fail(failed.reason());
            return;
        }
        // A commit is tried again at every tick; that it fails as before is no news.
        Optional<String> error = Optional.of("failover: " + failed.reason());
        if (!turn.error.equals(error)) {
            turn.act(new Action.Warn("failover: " + failed.reason()));
        }
        turn.error = error;
        turn.idle();
        if (job.stage() != Job.Promoting.Stage.COMMITTING) {
            turn.act(new Action.OpenGuest());
            turn.refuse(job.request(), failed.reason());
        }
    }

    private static void advance(
            Turn turn, Job.Promoting job, Job.Promoting.Stage stage, long ticket) {
        turn.job = new Job.Promoting(stage, ticket, job.request(), job.to(), job.force());
    }

    /// Why this side does not become the primary, or nothing.
    static Optional<String> refusal(Node node, FailoverTo to, boolean force) {
        if (!force) {
            String obstacle = obstacle(node, to);
            if (!obstacle.isEmpty()) {
                return Optional.of(obstacle + "; --force fails over all the same");
            }
        }
        if (to == FailoverTo.CHECKPOINT && !node.hasCheckpoint()) {
            return Optional.of(
                    "this side has no checkpoint; --to latest --force serves its disk as it is");
        }
        return Optional.empty();
    }

    private static String obstacle(Node node, FailoverTo to) {
        if (node.record().isEmpty()) {
            return "this side was never in sync with a primary";
        }
        if (node.hearsPeer()) {
            return "this side still hears its primary";
        }
        return switch (node.record().get().standing()) {
            // What buffers on disk have kept is the checkpoint, however often this side restarted.
            case FOLLOWING ->
                    node.restarted() && !(to == FailoverTo.CHECKPOINT && node.hasCheckpoint())
                            ? "this side restarted while its session was open, so it may lack"
                                    + " writes that its primary acknowledged"
                            : "";
            case STALE ->
                    "this side was told that its primary went on without it, so it lacks writes";
            case INCONSISTENT -> "this side holds half a copy";
            case PAIRED, CHECKPOINTING, ALONE, PROMOTED, FAILING_OVER ->
                    "this side has not followed a primary since it led itself";
        };
    }
}
