package dev.lockstep.colo.machine;

import java.util.List;
import java.util.Optional;

/// Starts and steps a side. Functions only.
public final class Machine {
    private Machine() {}

    /// The first step of a primary that may ask its secondary to join.
    public static Step startPrimary(
            Settings settings,
            Optional<DurableRecord> stored,
            SyncMode sync,
            boolean force,
            Nonce incarnation,
            Moment now) {
        Node node = blank(Role.PRIMARY, State.WAITING, settings, stored, incarnation, now);
        Turn turn = new Turn(node, now);
        PrimarySide.join(turn, Optional.empty(), sync, force);
        return turn.end();
    }

    /// The first step of a secondary that waits for a primary.
    public static Step startSecondary(
            StartDecision.Follow decision,
            Settings settings,
            Optional<DurableRecord> stored,
            boolean force,
            Nonce incarnation,
            Moment now) {
        Node node = blank(Role.SECONDARY, decision.state(), settings, stored, incarnation, now);
        Turn turn = new Turn(node, now);
        turn.yields = force;
        turn.restarted = stored.map(DurableRecord::open).orElse(false);
        turn.act(new Action.OpenGuest());
        turn.act(new Action.Ready());
        return turn.end();
    }

    /// The first step of a side that a failover made the primary before this process started.
    public static Step startPromoted(
            StartDecision.ServeOn decision,
            Settings settings,
            DurableRecord stored,
            Nonce incarnation,
            Moment now) {
        Node node =
                blank(
                        Role.PRIMARY,
                        decision.state(),
                        settings,
                        Optional.of(stored),
                        incarnation,
                        now);
        Turn turn = new Turn(node, now);
        if (decision.state() == State.FAILING_OVER) {
            Promotion.commit(turn);
        } else {
            // A crash may have come between the record and the end of the buffers.
            turn.act(new Action.DropBuffers());
        }
        turn.act(new Action.OpenGuest());
        turn.act(new Action.Ready());
        return turn.end();
    }

    /// What becomes of a node when something happens.
    public static Step step(Node node, Event event, Moment now) {
        Turn turn = new Turn(node, now);
        handle(turn, event);
        while (turn.isIdle() && !turn.deferred.isEmpty()) {
            handle(turn, turn.deferred.removeFirst());
        }
        return turn.end();
    }

    private static void handle(Turn turn, Event event) {
        if (event instanceof Event.Stored stored) {
            turn.stored(stored.record());
        }
        if (turn.state() == State.FAILED) {
            refuseFailed(turn, event);
        } else if (turn.job instanceof Job.Promoting job && Promotion.concerns(job, event)) {
            Promotion.advance(turn, job, event);
        } else if (turn.role == Role.PRIMARY) {
            PrimarySide.handle(turn, event);
        } else {
            SecondarySide.handle(turn, event);
        }
    }

    private static void refuseFailed(Turn turn, Event event) {
        String reason = "this side has failed: " + turn.error.orElse("unknown");
        switch (event) {
            case Event.Asks(long request, Order.Quit quit) -> {
                turn.accept(request);
                turn.act(new Action.Exit(Optional.of(reason)));
            }
            case Event.Asks asks -> turn.refuse(asks.request(), reason);
            case Event.Asked asked -> turn.act(new Action.Refuse(asked.call(), reason));
            default -> {}
        }
    }

    private static Node blank(
            Role role,
            State state,
            Settings settings,
            Optional<DurableRecord> stored,
            Nonce incarnation,
            Moment now) {
        return new Node(
                role,
                state,
                settings,
                incarnation,
                stored,
                stored,
                Optional.empty(),
                new Node.Liveness(false, false, now.nanos(), now.nanos()),
                false,
                false,
                false,
                new Job.Idle(),
                List.of(),
                Optional.empty(),
                Optional.empty(),
                0);
    }
}
