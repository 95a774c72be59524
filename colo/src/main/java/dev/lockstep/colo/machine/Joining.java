package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Job.Joining.Stage;

import java.util.Optional;

/// How a primary takes a secondary on.
///
/// Unless the pair resumes, the primary first stores that it is alone, under a new generation:
/// whatever becomes of the attempt, the two are not taken for equal again. Joining is a checkpoint,
/// so the epoch is one more than either side has been at.
final class Joining {
    private Joining() {}

    static void begin(Turn turn, Optional<Long> request, SyncMode sync, boolean force) {
        turn.telling = Optional.empty();
        long call = turn.ticket();
        turn.act(new Action.Send(call, new Message.Query()));
        turn.job =
                new Job.Joining(
                        Stage.ASKING, call, request, sync, force, turn.record(), Optional.empty());
    }

    static void replied(Turn turn, Job.Joining job, Message.Reply reply) {
        if (job.stage() == Stage.ASKING && reply instanceof Message.Known known) {
            decide(turn, job, known);
        } else if (job.stage() == Stage.JOINING && reply instanceof Message.Joined joined) {
            turn.session = Optional.of(joined.session());
            turn.error = Optional.empty();
            turn.heard();
            long ticket = turn.ticket();
            turn.act(new Action.Attach(ticket, joined.session()));
            advance(turn, job, Stage.ATTACHING, ticket, job.join());
        } else {
            abandon(turn, job, "the secondary's answer makes no sense: " + reply);
        }
    }

    private static void decide(Turn turn, Job.Joining job, Message.Known known) {
        boolean force = job.force() || known.yields();
        JoinDecision decision =
                JoinDecision.decide(turn.record(), known.record(), job.sync(), force);
        if (decision instanceof JoinDecision.Refuse(String reason)) {
            abandon(turn, job, reason);
            return;
        }
        long epoch =
                1
                        + Math.max(
                                turn.record().map(DurableRecord::epoch).orElse(0L),
                                known.record().map(DurableRecord::epoch).orElse(0L));
        boolean resume = decision instanceof JoinDecision.Resume;
        Nonce fresh = turn.fresh();
        Identity identity = resume ? turn.ours().identity() : branch(turn, fresh);
        Message.Join join =
                new Message.Join(
                        fresh,
                        known.incarnation(),
                        job.before(),
                        job.sync(),
                        force,
                        identity.at(epoch));
        if (resume) {
            ask(turn, job, join);
            return;
        }
        DurableRecord alone =
                new DurableRecord(
                        Standing.ALONE, join.identity(), true, turn.settings.volatileBuffers());
        advance(turn, job, Stage.BRANCHING, turn.store(alone), Optional.of(join));
    }

    private static Identity branch(Turn turn, Nonce generation) {
        return turn.record()
                .map(record -> record.identity().branch(generation))
                .orElseGet(() -> Identity.first(generation));
    }

    static void advance(Turn turn, Job.Joining job) {
        Message.Join join = job.join().orElseThrow();
        switch (job.stage()) {
            case BRANCHING -> {
                // The generation took its moment's number; the session gets this one's.
                Message.Join named =
                        new Message.Join(
                                turn.fresh(),
                                join.incarnation(),
                                join.before(),
                                join.sync(),
                                join.force(),
                                join.identity());
                ask(turn, job, named);
            }
            case ATTACHING -> {
                if (job.sync() == SyncMode.FULL) {
                    turn.become(State.SYNCING, "joined; the copy begins");
                    turn.act(new Action.OpenGuest());
                    turn.act(new Action.StartCopy());
                    ready(turn, job);
                } else {
                    DurableRecord paired =
                            new DurableRecord(
                                    Standing.PAIRED,
                                    join.identity(),
                                    true,
                                    turn.settings.volatileBuffers());
                    advance(turn, job, Stage.STORING, turn.store(paired), job.join());
                }
            }
            case STORING -> {
                turn.become(State.RUNNING, "joined");
                turn.act(new Action.OpenGuest());
                ready(turn, job);
            }
            case ASKING, JOINING -> {}
        }
    }

    private static void ask(Turn turn, Job.Joining job, Message.Join join) {
        long call = turn.ticket();
        turn.act(new Action.Send(call, join));
        advance(turn, job, Stage.JOINING, call, Optional.of(join));
    }

    private static void ready(Turn turn, Job.Joining job) {
        turn.idle();
        if (job.request().isPresent()) {
            turn.accept(job.request().get());
        } else {
            turn.act(new Action.Ready());
        }
    }

    /// The secondary cannot be reached: a side that leads in its own right may serve without it.
    static void unreachable(Turn turn, Job.Joining job, String reason) {
        boolean atStart = job.request().isEmpty() && job.stage() == Stage.ASKING;
        if (atStart
                && job.sync() == SyncMode.UNSPECIFIED
                && StartDecision.decide(turn.record(), Role.PRIMARY, job.force())
                        instanceof StartDecision.Join(boolean alone)
                && alone) {
            turn.act(new Action.Ready());
            PrimarySide.goAlone(turn, "serving alone: " + reason);
            return;
        }
        abandon(turn, job, reason);
    }

    /// The attempt is over. A process that has nothing else to do ends; a running side goes back to
    /// what it was, alone.
    static void abandon(Turn turn, Job.Joining job, String reason) {
        if (turn.session.isPresent()) {
            PrimarySide.dropRemote(turn, reason);
        }
        turn.idle();
        if (job.request().isEmpty()) {
            turn.act(new Action.Exit(Optional.of(reason)));
            return;
        }
        turn.refuse(job.request().get(), reason);
        if (turn.ours().standing() == Standing.ALONE && job.stage() != Stage.BRANCHING) {
            turn.telling = Optional.of(new Node.Telling(0, turn.nanos));
        }
    }

    private static void advance(
            Turn turn, Job.Joining job, Stage stage, long ticket, Optional<Message.Join> join) {
        turn.job =
                new Job.Joining(
                        stage, ticket, job.request(), job.sync(), job.force(), job.before(), join);
    }
}
