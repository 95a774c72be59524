package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Event.Culprit;

import java.util.Optional;

/// The side that follows: it obeys one session at a time, and never promotes itself.
final class SecondarySide {
    private static final String NO_SESSION =
            "this session is over: the secondary was restarted, joined anew, or failed over";

    private SecondarySide() {}

    static void handle(Turn turn, Event event) {
        switch (event) {
            case Event.Clock clock -> {
                if (turn.tickFindsPeerDead()) {
                    lostContact(turn, "no sign of life from the primary for 1 s");
                }
            }
            case Event.Heard heard -> heard(turn, heard.session());
            case Event.LinkLost lost -> lostContact(turn, lost.reason());
            case Event.Asked asked -> asked(turn, asked);
            case Event.Asks asks -> asks(turn, asks);
            case Event.Stored stored -> done(turn, stored.ticket());
            case Event.Done done -> done(turn, done.ticket());
            case Event.Failed failed -> failed(turn, failed);
            case Event.GuestWrote wrote -> turn.guestWrote = true;
            case Event.RemoteFailed failed -> {
                turn.error = Optional.of(failed.reason());
                turn.act(new Action.Warn(failed.reason()));
            }
            case Event.Replied ignored -> {}
            case Event.Refused ignored -> {}
            case Event.Unreachable ignored -> {}
            case Event.Copied ignored -> {}
        }
    }

    /// Closes the session for good: its primary is a stranger from now on.
    static void endSession(Turn turn, String reason) {
        without(turn).ifPresent(next -> turn.become(next, reason));
        turn.connected = false;
        turn.session = Optional.empty();
    }

    private static void lostContact(Turn turn, String reason) {
        without(turn).ifPresent(next -> turn.sinkTo(next, reason));
        turn.connected = false;
    }

    /// What a side in a session becomes without its primary.
    private static Optional<State> without(Turn turn) {
        return switch (turn.state()) {
            case RUNNING -> Optional.of(State.DEGRADED);
            case SYNCING -> Optional.of(State.INCONSISTENT);
            case WAITING, DEGRADED, FAILING_OVER, STALE, INCONSISTENT, FAILED -> Optional.empty();
        };
    }

    private static void heard(Turn turn, Nonce session) {
        if (!turn.session.equals(Optional.of(session))) {
            return;
        }
        turn.heard();
        settle(turn, "heard the primary again");
    }

    /// The state that follows from the record and from hearing the primary.
    private static void settle(Turn turn, String reason) {
        boolean inconsistent = turn.ours().standing() == Standing.INCONSISTENT;
        if (turn.connected) {
            turn.become(inconsistent ? State.SYNCING : State.RUNNING, reason);
        } else {
            turn.become(inconsistent ? State.INCONSISTENT : State.DEGRADED, reason);
        }
    }

    private static void asked(Turn turn, Event.Asked asked) {
        if (!turn.isIdle()) {
            turn.defer(asked);
            return;
        }
        long call = asked.call();
        switch (asked.request()) {
            case Message.Query query ->
                    turn.act(
                            new Action.Reply(
                                    call,
                                    new Message.Known(
                                            turn.record(), turn.incarnation, turn.yields)));
            case Message.Join join -> Acceptance.begin(turn, call, join);
            case Message.Checkpoint message -> checkpoint(turn, call, message);
            case Message.Leave message -> leave(turn, call, message);
            case Message.PeerStale message -> note(turn, call, message.identity());
        }
    }

    private static void checkpoint(Turn turn, long call, Message.Checkpoint message) {
        if (obeys(turn, call, message.session(), message.generation())
                && isNext(turn, call, message.epoch(), new Message.Checkpointed(message.epoch()))) {
            turn.heard();
            drainThenSwap(turn, call, false, false, message.epoch());
        }
    }

    private static void leave(Turn turn, long call, Message.Leave message) {
        if (obeys(turn, call, message.session(), message.generation())
                && isNext(turn, call, message.epoch(), new Message.Left(message.epoch()))) {
            long ticket = fence(turn, "the primary stops");
            turn.job =
                    new Job.Swapping(
                            Job.Swapping.Stage.FENCING, ticket, call, false, true, message.epoch());
        }
    }

    private static boolean obeys(Turn turn, long call, Nonce session, Nonce generation) {
        if (turn.session.equals(Optional.of(session))
                && turn.ours().identity().generation().equals(generation)) {
            return true;
        }
        turn.act(new Action.Refuse(call, NO_SESSION));
        return false;
    }

    /// Whether `epoch` is the next one. The one we have is answered again; any other is refused.
    private static boolean isNext(Turn turn, long call, long epoch, Message.Reply again) {
        long own = turn.ours().epoch();
        if (epoch == own + 1) {
            return true;
        }
        turn.act(
                epoch == own
                        ? new Action.Reply(call, again)
                        : new Action.Refuse(
                                call,
                                "this side is at epoch %d, not before %d".formatted(own, epoch)));
        return false;
    }

    private static void note(Turn turn, long call, Identity primary) {
        Optional<DurableRecord> record = turn.record();
        if (record.isEmpty() || !primary.descendsFrom(record.get().identity())) {
            turn.act(new Action.Refuse(call, "this is not the history that this side followed"));
            return;
        }
        long ticket = fence(turn, "the primary went on alone");
        turn.job = new Job.Noting(Job.Noting.Stage.FENCING, ticket, call);
    }

    private static long fence(Turn turn, String reason) {
        endSession(turn, reason);
        long ticket = turn.ticket();
        turn.act(new Action.Fence(ticket));
        return ticket;
    }

    private static void drainThenSwap(
            Turn turn, long asker, boolean local, boolean last, long epoch) {
        turn.act(new Action.ShutGuest());
        long ticket = turn.ticket();
        turn.act(new Action.Drain(ticket, Optional.of(turn.ours().identity().at(epoch))));
        turn.job = new Job.Swapping(Job.Swapping.Stage.DRAINING, ticket, asker, local, last, epoch);
    }

    private static void asks(Turn turn, Event.Asks asks) {
        if (asks.order() instanceof Order.Failover && turn.job instanceof Job.Promoting) {
            turn.refuse(asks.request(), "a failover is under way already");
            return;
        }
        if (!turn.isIdle()) {
            turn.defer(asks);
            return;
        }
        long request = asks.request();
        switch (asks.order()) {
            case Order.Failover order -> Promotion.begin(turn, request, order);
            case Order.Checkpoint order -> localCheckpoint(turn, request);
            case Order.GoAlone order ->
                    turn.refuse(request, "this side is a secondary; fail over to make it lead");
            case Order.Resync order ->
                    turn.refuse(request, "this side is a secondary; its primary resynchronises it");
            case Order.Quit order -> {
                turn.act(new Action.ShutGuest());
                long ticket = fence(turn, "asked to stop");
                turn.job = new Job.Quitting(Job.Quitting.Stage.DRAINING, ticket, request, 0);
            }
        }
    }

    private static void localCheckpoint(Turn turn, long request) {
        if (turn.connected) {
            turn.refuse(request, "this side is in a session; ask its primary for the checkpoint");
        } else if (!turn.node().hasCheckpoint()) {
            turn.refuse(request, "this side has no checkpoint to begin from");
        } else {
            long ticket = fence(turn, "a local checkpoint");
            turn.job =
                    new Job.Swapping(
                            Job.Swapping.Stage.FENCING,
                            ticket,
                            request,
                            true,
                            false,
                            turn.ours().epoch() + 1);
        }
    }

    private static void done(Turn turn, long ticket) {
        if (ticket != turn.job.ticket()) {
            return;
        }
        switch (turn.job) {
            case Job.Accepting job -> Acceptance.advance(turn, job);
            case Job.Swapping job -> swap(turn, job);
            case Job.Noting job -> noted(turn, job);
            case Job.Quitting job -> {
                turn.accept(job.request());
                turn.act(new Action.Exit(Optional.empty()));
            }
            default -> {}
        }
    }

    private static void swap(Turn turn, Job.Swapping job) {
        switch (job.stage()) {
            case FENCING -> drainThenSwap(turn, job.asker(), job.local(), job.last(), job.epoch());
            case DRAINING -> {
                DurableRecord record = turn.ours().at(job.epoch());
                if (!job.local()) {
                    record = record.as(Standing.FOLLOWING);
                }
                long ticket = turn.store(job.last() ? record.closed() : record);
                turn.job =
                        new Job.Swapping(
                                Job.Swapping.Stage.STORING,
                                ticket,
                                job.asker(),
                                job.local(),
                                job.last(),
                                job.epoch());
            }
            case STORING -> swapped(turn, job);
        }
    }

    private static void swapped(Turn turn, Job.Swapping job) {
        turn.act(new Action.SwapBuffers());
        turn.act(new Action.OpenGuest());
        turn.guestWrote = false;
        turn.idle();
        if (job.local()) {
            turn.accept(job.asker());
        } else if (job.last()) {
            turn.become(State.WAITING, "the primary stopped cleanly");
            turn.act(new Action.Reply(job.asker(), new Message.Left(job.epoch())));
        } else {
            settle(turn, "checkpoint");
            turn.act(new Action.Reply(job.asker(), new Message.Checkpointed(job.epoch())));
        }
    }

    private static void noted(Turn turn, Job.Noting job) {
        boolean half = turn.ours().standing() == Standing.INCONSISTENT;
        if (job.stage() == Job.Noting.Stage.FENCING && !half) {
            long ticket = turn.store(turn.ours().as(Standing.STALE));
            turn.job = new Job.Noting(Job.Noting.Stage.STORING, ticket, job.call());
            return;
        }
        if (!half) {
            turn.sinkTo(State.STALE, "the primary went on alone");
        }
        turn.idle();
        turn.act(new Action.Reply(job.call(), new Message.Noted()));
    }

    private static void failed(Turn turn, Event.Failed failed) {
        if (failed.culprit() == Culprit.STATE_FILE) {
            owe(turn, failed.reason());
            turn.fail(failed.reason());
        } else if (failed.ticket() == turn.job.ticket()) {
            turn.error = Optional.of(failed.reason());
            turn.act(new Action.Warn(failed.reason()));
            if (turn.job instanceof Job.Noting noting
                    && noting.stage() == Job.Noting.Stage.FENCING) {
                // The session is closed and quiet, only the flush failed. A disk that cannot be
                // flushed is behind all the more, and its record must say so.
                noted(turn, noting);
                return;
            }
            owe(turn, failed.reason());
            turn.act(new Action.OpenGuest());
            boolean quitting = turn.job instanceof Job.Quitting;
            turn.idle();
            if (quitting) {
                turn.act(new Action.Exit(Optional.of(failed.reason())));
            }
        }
    }

    /// Refuses whoever waits for the job.
    private static void owe(Turn turn, String reason) {
        switch (turn.job) {
            case Job.Accepting job -> turn.act(new Action.Refuse(job.call(), reason));
            case Job.Noting job -> turn.act(new Action.Refuse(job.call(), reason));
            case Job.Swapping job -> {
                if (job.local()) {
                    turn.refuse(job.asker(), reason);
                } else {
                    turn.act(new Action.Refuse(job.asker(), reason));
                }
            }
            case Job.Quitting job -> turn.refuse(job.request(), reason);
            case Job.Promoting job -> turn.refuse(job.request(), reason);
            default -> {}
        }
    }
}
