package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Event.Culprit;
import dev.lockstep.colo.machine.Job.Quitting;

import java.util.Optional;

/// The side that leads: it serves its guest, drives the secondary, and goes on alone without it.
final class PrimarySide {
    private PrimarySide() {}

    static void handle(Turn turn, Event event) {
        switch (event) {
            case Event.Clock clock -> clock(turn);
            case Event.Heard heard -> {
                if (turn.session.equals(Optional.of(heard.session()))) {
                    turn.heard();
                }
            }
            case Event.LinkLost lost -> lost(turn, lost.reason());
            case Event.RemoteFailed failed -> lost(turn, failed.reason());
            case Event.Stored stored -> done(turn, stored.ticket());
            case Event.Done done -> done(turn, done.ticket());
            case Event.Failed failed -> failed(turn, failed);
            case Event.Replied replied -> replied(turn, replied);
            case Event.Refused refused -> refused(turn, refused);
            case Event.Unreachable unreachable -> unreachable(turn, unreachable);
            case Event.Copied copied -> Checkpoint.endSync(turn);
            case Event.Asked asked -> asked(turn, asked);
            case Event.Asks asks -> asks(turn, asks);
            case Event.GuestWrote ignored -> {}
        }
    }

    static void join(Turn turn, Optional<Long> request, SyncMode sync, boolean force) {
        Joining.begin(turn, request, sync, force);
    }

    /// The secondary is lost. Nothing that it lacks is acknowledged until its staleness is stored.
    static void lost(Turn turn, String reason) {
        if (turn.job instanceof Job.Joining job) {
            Joining.abandon(turn, job, reason);
            return;
        }
        if (turn.session.isEmpty()) {
            return;
        }
        boolean hold =
                turn.ours().standing() != Standing.ALONE
                        && turn.settings.onPeerLoss() == OnPeerLoss.STOP;
        lose(turn, reason, hold);
    }

    private static void lose(Turn turn, String reason, boolean hold) {
        dropRemote(turn, reason);
        switch (turn.job) {
            case Quitting job when job.stage() == Quitting.Stage.DRAINING -> {
                // What the drain waits for must be decided first; then the stop begins anew.
                turn.deferred.addFirst(new Event.Asks(job.request(), new Order.Quit()));
            }
            case Quitting job -> {
                // Both disks were flushed under a shut guest: still a clean stop of this side.
                storeClean(turn, job);
                return;
            }
            case Job.Checkpointing job -> Checkpoint.abandoned(turn, job, reason);
            default -> {}
        }
        turn.idle();
        if (hold) {
            turn.sinkTo(State.DEGRADED, "the guest's writes are held: " + reason);
            turn.act(new Action.OpenGuest());
        } else {
            goAlone(turn, reason);
        }
    }

    static void dropRemote(Turn turn, String reason) {
        turn.session = Optional.empty();
        turn.connected = false;
        turn.error = Optional.of(reason);
        turn.act(new Action.FailRemote(reason));
    }

    /// A history of our own begins; its name is durable before any write of it is acknowledged.
    static void goAlone(Turn turn, String reason) {
        turn.sinkTo(State.DEGRADED, reason);
        Nonce generation = turn.fresh();
        Identity identity =
                turn.record()
                        .map(record -> record.identity().branch(generation))
                        .orElseGet(() -> Identity.first(generation));
        DurableRecord record =
                new DurableRecord(Standing.ALONE, identity, true, turn.settings.volatileBuffers());
        turn.job = new Job.Degrading(turn.store(record));
    }

    private static void clock(Turn turn) {
        if (turn.tickFindsPeerDead()) {
            lost(turn, "no sign of life from the secondary for 1 s");
            return;
        }
        switch (turn.job) {
            case Job.Checkpointing job -> Checkpoint.clock(turn, job);
            case Quitting job
                    when job.stage() == Quitting.Stage.LEAVING
                            && turn.nanos - job.askedNanos() > turn.settings.answerNanos() ->
                    storeClean(turn, job);
            case Job.Idle idle when turn.state() == State.FAILING_OVER -> Promotion.commit(turn);
            case Job.Idle idle -> tell(turn);
            default -> {}
        }
    }

    /// Tells a peer that we lost that it is stale, as soon as it can be reached.
    private static void tell(Turn turn) {
        if (turn.telling.isEmpty() || turn.state() != State.DEGRADED) {
            return;
        }
        Node.Telling telling = turn.telling.get();
        if (telling.call() == 0 && turn.nanos - telling.triedNanos() >= Timing.RETRY_NANOS) {
            long call = turn.ticket();
            turn.act(new Action.Send(call, new Message.PeerStale(turn.ours().identity())));
            turn.telling = Optional.of(new Node.Telling(call, turn.nanos));
        }
    }

    private static boolean isTelling(Turn turn, long call) {
        return turn.telling.isPresent() && turn.telling.get().call() == call;
    }

    private static void done(Turn turn, long ticket) {
        if (ticket != turn.job.ticket()) {
            return;
        }
        switch (turn.job) {
            case Job.Joining job -> Joining.advance(turn, job);
            case Job.Checkpointing job -> Checkpoint.advance(turn, job);
            case Job.Degrading job -> {
                turn.act(new Action.OpenGuest());
                turn.telling = Optional.of(new Node.Telling(0, turn.nanos - Timing.RETRY_NANOS));
                turn.idle();
            }
            case Quitting job -> quit(turn, job);
            default -> {}
        }
    }

    private static void replied(Turn turn, Event.Replied replied) {
        if (isTelling(turn, replied.call())) {
            turn.telling = Optional.empty();
        }
        if (replied.call() != turn.job.ticket()) {
            return;
        }
        switch (turn.job) {
            case Job.Joining job -> Joining.replied(turn, job, replied.reply());
            case Job.Checkpointing job -> Checkpoint.replied(turn, job, replied.reply());
            case Quitting job -> {
                if (replied.reply() instanceof Message.Left(long epoch)) {
                    DurableRecord record = turn.ours().at(epoch).closed();
                    turn.job =
                            new Quitting(
                                    Quitting.Stage.STORING,
                                    turn.store(record),
                                    job.request(),
                                    job.askedNanos());
                }
            }
            default -> {}
        }
    }

    private static void refused(Turn turn, Event.Refused refused) {
        if (isTelling(turn, refused.call())) {
            turn.telling = Optional.empty();
            turn.act(new Action.Warn("the peer is not to be told: " + refused.reason()));
        }
        if (refused.call() != turn.job.ticket()) {
            return;
        }
        switch (turn.job) {
            case Job.Joining job -> Joining.abandon(turn, job, refused.reason());
            case Job.Checkpointing job ->
                    lost(turn, "the secondary refused a checkpoint: " + refused.reason());
            case Quitting job -> storeClean(turn, job);
            default -> {}
        }
    }

    private static void unreachable(Turn turn, Event.Unreachable unreachable) {
        if (isTelling(turn, unreachable.call())) {
            turn.telling = Optional.of(new Node.Telling(0, turn.nanos));
        }
        if (unreachable.call() != turn.job.ticket()) {
            return;
        }
        switch (turn.job) {
            case Job.Joining job -> Joining.unreachable(turn, job, unreachable.reason());
            case Quitting job -> storeClean(turn, job);
            default -> {
                // A checkpoint is asked for again by the clock.
            }
        }
    }

    private static void failed(Turn turn, Event.Failed failed) {
        if (failed.culprit() == Culprit.STATE_FILE) {
            owe(turn, failed.reason());
            turn.fail(failed.reason());
            return;
        }
        if (failed.ticket() != turn.job.ticket()) {
            return;
        }
        if (failed.culprit() == Culprit.REMOTE) {
            lost(turn, failed.reason());
            return;
        }
        turn.act(new Action.Warn(failed.reason()));
        switch (turn.job) {
            case Job.Joining job -> Joining.abandon(turn, job, failed.reason());
            case Job.Checkpointing job -> Checkpoint.failedHere(turn, job, failed.reason());
            case Quitting job -> {
                owe(turn, failed.reason());
                turn.act(new Action.Exit(Optional.of(failed.reason())));
            }
            default -> {}
        }
    }

    private static void owe(Turn turn, String reason) {
        switch (turn.job) {
            case Job.Joining job -> job.request().ifPresent(it -> turn.refuse(it, reason));
            case Job.Checkpointing job -> job.request().ifPresent(it -> turn.refuse(it, reason));
            case Quitting job -> turn.refuse(job.request(), reason);
            default -> {}
        }
    }

    /// A primary is asked by a primary: an old one that returns after a failover, most likely. It
    /// is not even told who this side is, so that it changes nothing of its own on a join that
    /// could only be refused.
    private static void asked(Turn turn, Event.Asked asked) {
        turn.act(
                new Action.Refuse(
                        asked.call(),
                        "the other side is a primary itself; to follow it, start this disk with"
                                + " `lockstep colo secondary --force` and run `lockstep colo"
                                + " resync` there; to overwrite it, stop it and start it again with"
                                + " `lockstep colo secondary --force`"));
    }

    private static void asks(Turn turn, Event.Asks asks) {
        long request = asks.request();
        if (asks.order() instanceof Order.Quit && turn.job instanceof Job.Joining job) {
            Joining.abandon(turn, job, "asked to stop");
        }
        if (asks.order() instanceof Order.Failover failover && !canRetry(turn, failover)) {
            turn.refuse(request, "this side is the primary already");
            return;
        }
        if (!turn.isIdle()) {
            turn.defer(asks);
            return;
        }
        switch (asks.order()) {
            case Order.Checkpoint order -> Checkpoint.begin(turn, request);
            case Order.Failover order -> {
                turn.accept(request);
                Promotion.commit(turn);
            }
            case Order.GoAlone order -> {
                turn.accept(request);
                if (turn.session.isPresent()) {
                    lose(turn, "told to go on alone", false);
                } else if (turn.node().holdsWrites()) {
                    goAlone(turn, "told to go on alone");
                }
            }
            case Order.Resync order -> resync(turn, request, order.force());
            case Order.Quit order -> stop(turn, request);
        }
    }

    /// A failover whose commit failed can be asked for again; any other is a second one.
    private static boolean canRetry(Turn turn, Order.Failover order) {
        return turn.state() == State.FAILING_OVER
                && turn.isIdle()
                && order.to() == FailoverTo.CHECKPOINT;
    }

    private static void resync(Turn turn, long request, boolean force) {
        if (turn.state() != State.DEGRADED) {
            turn.refuse(
                    request,
                    "only a side without a peer is paired with a new secondary, and this one is "
                            + turn.state().label());
            return;
        }
        join(turn, Optional.of(request), SyncMode.FULL, force);
    }

    private static void stop(Turn turn, long request) {
        if (turn.node().holdsWrites() || turn.record().isEmpty() || turn.state() == State.WAITING) {
            // Held writes are never acknowledged, so there is nothing to flush; the record stays.
            turn.accept(request);
            turn.act(new Action.Exit(Optional.empty()));
            return;
        }
        turn.act(new Action.ShutGuest());
        long ticket = turn.ticket();
        turn.act(new Action.Drain(ticket, Optional.empty()));
        turn.job = new Quitting(Quitting.Stage.DRAINING, ticket, request, turn.nanos);
    }

    private static void quit(Turn turn, Quitting job) {
        if (job.stage() == Quitting.Stage.STORING) {
            turn.accept(job.request());
            turn.act(new Action.Exit(Optional.empty()));
        } else if (turn.state() == State.RUNNING && turn.session.isPresent()) {
            long call = turn.ticket();
            DurableRecord record = turn.ours();
            turn.act(
                    new Action.Send(
                            call,
                            new Message.Leave(
                                    turn.session.get(),
                                    record.identity().generation(),
                                    record.epoch() + 1)));
            turn.job = new Quitting(Quitting.Stage.LEAVING, call, job.request(), turn.nanos);
        } else {
            storeClean(turn, job);
        }
    }

    private static void storeClean(Turn turn, Quitting job) {
        if (job.stage() == Quitting.Stage.STORING) {
            return;
        }
        long ticket = turn.store(turn.ours().closed());
        turn.job = new Quitting(Quitting.Stage.STORING, ticket, job.request(), job.askedNanos());
    }
}
