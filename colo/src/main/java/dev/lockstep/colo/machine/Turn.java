package dev.lockstep.colo.machine;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/// One step in the making: a node taken apart so that it can be changed, and the actions so far.
///
/// It never outlives [Machine#step], so the machine stays a function.
final class Turn {
    final Settings settings;
    final Nonce incarnation;
    final long nanos;
    private final List<Action> actions = new ArrayList<>();

    /// The moment's random number until it is used: one name for two things would be no name.
    private @Nullable Nonce fresh;

    /// Changed through [#become] alone.
    private State state;

    /// Changed through [#store] and [#stored] alone.
    private Optional<DurableRecord> record;

    private Optional<DurableRecord> durable;
    private long tickets;

    Role role;
    Optional<Nonce> session;
    boolean connected;
    boolean everHeard;
    long heardNanos;
    long tickedNanos;
    boolean restarted;
    boolean yields;
    boolean guestWrote;
    Job job;
    final Deque<Event> deferred;
    Optional<Node.Telling> telling;
    Optional<String> error;

    Turn(Node node, Moment now) {
        settings = node.settings();
        incarnation = node.incarnation();
        nanos = now.nanos();
        fresh = now.fresh();
        role = node.role();
        state = node.state();
        record = node.record();
        durable = node.durable();
        session = node.session();
        connected = node.liveness().connected();
        everHeard = node.liveness().everHeard();
        heardNanos = node.liveness().heardNanos();
        tickedNanos = node.liveness().tickedNanos();
        restarted = node.restarted();
        yields = node.yields();
        guestWrote = node.guestWrote();
        job = node.job();
        deferred = new ArrayDeque<>(node.deferred());
        telling = node.telling();
        error = node.error();
        tickets = node.tickets();
    }

    Step end() {
        return new Step(node(), actions);
    }

    /// The node as it is so far.
    Node node() {
        return new Node(
                role,
                state,
                settings,
                incarnation,
                record,
                durable,
                session,
                new Node.Liveness(connected, everHeard, heardNanos, tickedNanos),
                restarted,
                yields,
                guestWrote,
                job,
                List.copyOf(deferred),
                telling,
                error,
                tickets);
    }

    State state() {
        return state;
    }

    Optional<DurableRecord> record() {
        return record;
    }

    /// The record of a side that has one, as every side in a session has.
    DurableRecord ours() {
        return record.orElseThrow();
    }

    /// The moment's random number. Once.
    Nonce fresh() {
        Nonce nonce = fresh;
        if (nonce == null) {
            throw new IllegalStateException("two names wanted of one moment");
        }
        fresh = null;
        return nonce;
    }

    void act(Action action) {
        actions.add(action);
    }

    long ticket() {
        return ++tickets;
    }

    /// A change of state in the course of things.
    void become(State next, String reason) {
        change(next, reason, false);
    }

    /// A change of state for the worse that nobody asked for.
    void sinkTo(State next, String reason) {
        change(next, reason, true);
    }

    /// Every change of state passes here.
    private void change(State next, String reason, boolean alarming) {
        if (next == state) {
            return;
        }
        if (!state.mayBecome(next)) {
            throw new IllegalStateException(
                    "%s may not become %s (%s)".formatted(state, next, reason));
        }
        long epoch = record.map(DurableRecord::epoch).orElse(0L);
        act(new Action.Changed(state, next, reason, epoch, alarming));
        state = next;
    }

    /// Asks for the record to be stored; it counts from [#stored] on.
    long store(DurableRecord next) {
        record = Optional.of(next);
        long ticket = ticket();
        act(new Action.Store(ticket, next));
        return ticket;
    }

    void stored(DurableRecord now) {
        durable = Optional.of(now);
    }

    void idle() {
        job = new Job.Idle();
    }

    boolean isIdle() {
        return job instanceof Job.Idle;
    }

    void accept(long request) {
        act(new Action.Answer(request, Optional.empty()));
    }

    void refuse(long request, String reason) {
        act(new Action.Answer(request, Optional.of(reason)));
    }

    /// The state file or the disk is beyond use: nothing can be promised any more.
    void fail(String reason) {
        error = Optional.of(reason);
        sinkTo(State.FAILED, reason);
        if (role == Role.PRIMARY) {
            act(new Action.FailRemote(reason));
        }
        session = Optional.empty();
        connected = false;
        telling = Optional.empty();
        idle();
    }

    /// Keeps a request, or the end of a copy, until the job is over.
    void defer(Event event) {
        if (deferred.size() < Node.DEFERRED_MAX || event instanceof Event.Copied) {
            deferred.addLast(event);
            return;
        }
        String reason = "too many requests wait already; ask again later";
        switch (event) {
            case Event.Asks asks -> refuse(asks.request(), reason);
            case Event.Asked asked -> act(new Action.Refuse(asked.call(), reason));
            default -> throw new IllegalStateException("not a request: " + event);
        }
    }

    /// Notes a sign of life.
    void heard() {
        connected = true;
        everHeard = true;
        heardNanos = nanos;
    }

    /// Notes our own tick; says whether the peer has just been silent for too long.
    boolean tickFindsPeerDead() {
        boolean late = nanos - tickedNanos > Timing.LATE_NANOS;
        tickedNanos = nanos;
        if (!connected || session.isEmpty()) {
            return false;
        }
        if (late) {
            heardNanos = nanos;
        }
        return nanos - heardNanos > Timing.DEAD_NANOS;
    }
}
