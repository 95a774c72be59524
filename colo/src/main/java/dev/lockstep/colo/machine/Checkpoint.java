package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Job.Checkpointing;
import dev.lockstep.colo.machine.Job.Checkpointing.Stage;

import java.util.Optional;

/// A checkpoint as the primary drives it; one of them ends a full sync.
///
/// Its commit point is the secondary's record. From asking to the answer the primary is in doubt,
/// and says so on its own disk first; before the guest is held, because being in doubt early allows
/// no more than being paired and open does.
final class Checkpoint {
    private Checkpoint() {}

    static void begin(Turn turn, long request) {
        if (turn.state() != State.RUNNING) {
            turn.refuse(
                    request,
                    "a checkpoint needs a running pair; this side " + turn.state().sentence());
            return;
        }
        begin(turn, Optional.of(request));
    }

    static void endSync(Turn turn) {
        if (turn.state() != State.SYNCING) {
            return;
        }
        if (turn.isIdle()) {
            begin(turn, Optional.empty());
        } else {
            turn.defer(new Event.Copied());
        }
    }

    private static void begin(Turn turn, Optional<Long> request) {
        if (turn.ours().standing() == Standing.ALONE) {
            turn.job = flushing(turn, request, turn.nanos);
        } else {
            long ticket = turn.store(turn.ours().as(Standing.CHECKPOINTING));
            turn.job = new Checkpointing(Stage.DOUBTING, ticket, request, turn.nanos, turn.nanos);
        }
    }

    private static Checkpointing flushing(Turn turn, Optional<Long> request, long begunNanos) {
        long ticket = turn.ticket();
        turn.act(new Action.Flush(ticket));
        return new Checkpointing(Stage.FLUSHING, ticket, request, begunNanos, begunNanos);
    }

    static void advance(Turn turn, Checkpointing job) {
        switch (job.stage()) {
            case DOUBTING -> turn.job = flushing(turn, job.request(), job.begunNanos());
            case FLUSHING -> {
                turn.act(new Action.ShutGuest());
                long ticket = turn.ticket();
                turn.act(new Action.Drain(ticket, Optional.empty()));
                advance(turn, job, Stage.DRAINING, ticket);
            }
            case DRAINING -> ask(turn, job);
            case STORING -> {
                turn.become(State.RUNNING, "the copy is complete");
                turn.act(new Action.OpenGuest());
                job.request().ifPresent(turn::accept);
                turn.idle();
            }
            case ASKED -> {}
        }
    }

    private static void ask(Turn turn, Checkpointing job) {
        DurableRecord record = turn.ours();
        long call = turn.ticket();
        turn.act(
                new Action.Send(
                        call,
                        new Message.Checkpoint(
                                turn.session.orElseThrow(),
                                record.identity().generation(),
                                record.epoch() + 1)));
        turn.job =
                new Checkpointing(Stage.ASKED, call, job.request(), job.begunNanos(), turn.nanos);
    }

    static void replied(Turn turn, Checkpointing job, Message.Reply reply) {
        long epoch = turn.ours().epoch() + 1;
        if (reply.equals(new Message.Checkpointed(epoch))) {
            DurableRecord record = turn.ours().at(epoch).as(Standing.PAIRED);
            advance(turn, job, Stage.STORING, turn.store(record));
        } else {
            PrimarySide.lost(turn, "the secondary's answer makes no sense: " + reply);
        }
    }

    /// Asks again, and in the end gives the secondary up.
    static void clock(Turn turn, Checkpointing job) {
        if (job.stage() != Stage.ASKED || turn.nanos - job.askedNanos() < Timing.RETRY_NANOS) {
            return;
        }
        if (turn.nanos - job.begunNanos() > turn.settings.answerNanos()) {
            PrimarySide.lost(turn, "the secondary did not answer a checkpoint in time");
        } else {
            ask(turn, job);
        }
    }

    /// The secondary was lost meanwhile.
    static void abandoned(Turn turn, Checkpointing job, String reason) {
        String outcome =
                switch (job.stage()) {
                    case DOUBTING, FLUSHING, DRAINING -> "no checkpoint was taken: ";
                    case ASKED ->
                            "whether the secondary took the checkpoint is known to it alone: ";
                    case STORING -> "the checkpoint was taken, and then the secondary was lost: ";
                };
        job.request().ifPresent(request -> turn.refuse(request, outcome + reason));
    }

    /// The local disk could not be flushed: the checkpoint is off, the pair is as before. A full
    /// sync cannot end so.
    static void failedHere(Turn turn, Checkpointing job, String reason) {
        if (job.request().isEmpty()) {
            PrimarySide.lost(turn, reason);
            return;
        }
        // Nobody waits for this store: to be in doubt a little longer does no harm.
        long _ = turn.store(turn.ours().as(Standing.PAIRED));
        turn.refuse(job.request().get(), reason);
        turn.act(new Action.OpenGuest());
        turn.idle();
    }

    private static void advance(Turn turn, Checkpointing job, Stage stage, long ticket) {
        turn.job =
                new Checkpointing(stage, ticket, job.request(), job.begunNanos(), job.askedNanos());
    }
}
