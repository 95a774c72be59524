package dev.lockstep.colo.machine;

import java.util.Optional;

/// How a secondary enters a session.
///
/// The old session is closed and its requests waited for before anything is stored; the new record
/// is durable before the target opens. A join must move forward: one that arrives late, with a
/// generation or an epoch that this side has been through, is refused whatever it says.
final class Acceptance {
    private Acceptance() {}

    static void begin(Turn turn, long call, Message.Join join) {
        Optional<String> refusal = refusal(turn, join);
        if (refusal.isPresent()) {
            turn.act(new Action.Refuse(call, refusal.get()));
            return;
        }
        boolean full = join.sync() == SyncMode.FULL;
        DurableRecord next =
                new DurableRecord(
                        full ? Standing.INCONSISTENT : Standing.FOLLOWING,
                        join.identity(),
                        true,
                        turn.settings.volatileBuffers());
        SecondarySide.endSession(turn, "a new session");
        long ticket = turn.ticket();
        turn.act(new Action.Fence(ticket));
        turn.job = new Job.Accepting(Job.Accepting.Stage.FENCING, ticket, call, join, next);
    }

    private static Optional<String> refusal(Turn turn, Message.Join join) {
        if (!join.incarnation().equals(turn.incarnation)) {
            return Optional.of("the secondary was restarted since it was asked who it is");
        }
        if (turn.connected) {
            return Optional.of("the secondary is in a session with a primary that it still hears");
        }
        if (turn.record().isPresent() && !movesForward(turn.ours().identity(), join.identity())) {
            return Optional.of("the secondary has been through this session already");
        }
        boolean force = join.force() || turn.yields;
        JoinDecision decision =
                JoinDecision.decide(join.before(), turn.record(), join.sync(), force);
        return decision instanceof JoinDecision.Refuse(String reason)
                ? Optional.of(reason)
                : Optional.empty();
    }

    private static boolean movesForward(Identity ours, Identity joined) {
        if (ours.descendsFrom(joined)) {
            return false;
        }
        return !ours.contains(joined) || joined.epoch() > ours.epoch();
    }

    static void advance(Turn turn, Job.Accepting job) {
        switch (job.stage()) {
            case FENCING -> {
                turn.act(new Action.ShutGuest());
                long ticket = turn.ticket();
                turn.act(new Action.Drain(ticket, Optional.of(job.next().identity())));
                advance(turn, job, Job.Accepting.Stage.DRAINING, ticket);
            }
            case DRAINING ->
                    advance(turn, job, Job.Accepting.Stage.STORING, turn.store(job.next()));
            case STORING -> opened(turn, job);
        }
    }

    private static void opened(Turn turn, Job.Accepting job) {
        boolean full = job.join().sync() == SyncMode.FULL;
        turn.restarted = false;
        turn.yields = false;
        turn.guestWrote = false;
        turn.error = Optional.empty();
        turn.session = Optional.of(job.join().session());
        turn.heard();
        turn.act(new Action.SwapBuffers());
        turn.act(new Action.OpenTarget(job.join().session(), !full));
        turn.act(new Action.OpenGuest());
        turn.become(full ? State.SYNCING : State.RUNNING, "joined by the primary");
        turn.act(new Action.Reply(job.call(), new Message.Joined(job.join().session())));
        turn.idle();
    }

    private static void advance(
            Turn turn, Job.Accepting job, Job.Accepting.Stage stage, long ticket) {
        turn.job = new Job.Accepting(stage, ticket, job.call(), job.join(), job.next());
    }
}
