package dev.lockstep.colo.machine;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Supplier;

/// Two hosts, a network and a clock, all in one thread and all from one seed.
///
/// The link is a connection that keeps its order until it breaks. What was in flight then is lost,
/// or arrives late, in any order, perhaps twice; an answer of a broken connection never arrives.
/// Writes travel on connections of their own, and one that the target's host has received may land
/// at any time until its session is fenced.
final class World {
    private static final int INTERNAL = 0;
    private static final int LATE = -1;
    private static final long MILLI = 1_000_000;

    /// Something under way to a process, which is gone if that process is.
    record Letter(Host to, Nonce incarnation, Event event, int connection) {}

    /// Who owes an answer to whom.
    record Caller(
            Host host, Nonce incarnation, long call, int connection, Message.Request request) {}

    /// A write under way to a target.
    record Sent(Host from, Nonce incarnation, Nonce session, Host.Write write) {}

    final SplittableRandom random;
    final Twist twist;
    final Rules rules;
    final Host a = new Host("A");
    final Host b = new Host("B");
    final List<Letter> letters = new ArrayList<>();
    final List<Sent> sent = new ArrayList<>();
    final Map<Long, Caller> callers = new HashMap<>();
    final Map<Probe, Integer> probes;
    private final Actor actor = new Actor(this);
    private final @Nullable Consumer<String> trace;
    private long counter;
    private long nanos = 1_000 * MILLI;
    boolean linkUp = true;
    int connection = 1;

    World(long seed, Twist twist, Map<Probe, Integer> probes, @Nullable Consumer<String> trace) {
        this.random = new SplittableRandom(seed);
        this.twist = twist;
        this.probes = probes;
        this.trace = trace;
        this.rules = new Rules(this);
        a.asPrimary = true;
    }

    /// Runs one history.
    void run(int moves) {
        boolean lossless = chance(80);
        boolean buffersLast = chance(25);
        OnPeerLoss onPeerLoss = chance(30) ? OnPeerLoss.STOP : OnPeerLoss.CONTINUE;
        Settings settings = new Settings(onPeerLoss, 3_000 * MILLI, !buffersLast);
        Moves play = new Moves(this, actor, settings);
        if (lossless) {
            play.pairUp();
        }
        for (int move = 0; move < moves; move++) {
            play.random();
            rules.check();
        }
    }

    Host peer(Host host) {
        return host == a ? b : a;
    }

    boolean chance(int percent) {
        return random.nextInt(100) < percent;
    }

    int value() {
        return (int) ++counter;
    }

    long id() {
        return ++counter;
    }

    Nonce nonce() {
        return new Nonce(0, ++counter);
    }

    Moment moment() {
        return new Moment(nanos, nonce());
    }

    void pass(long millis) {
        nanos += millis * MILLI;
    }

    void hit(Probe probe) {
        probes.merge(probe, 1, Integer::sum);
    }

    void say(Supplier<String> line) {
        if (trace != null) {
            trace.accept(line.get());
        }
    }

    /// Something that a host's own daemon noticed.
    void post(Host to, Event event) {
        letters.add(new Letter(to, to.up().incarnation(), event, INTERNAL));
    }

    void mail(Host to, Nonce incarnation, Event event) {
        letters.add(new Letter(to, incarnation, event, connection));
    }

    /// Delivers one letter that may be delivered now; false if there is none.
    boolean deliver() {
        if (letters.isEmpty()) {
            return false;
        }
        int index = random.nextInt(letters.size());
        Letter letter = letters.get(index);
        if (letter.connection() == LATE && chance(90)) {
            return true;
        }
        if (letter.connection() > INTERNAL) {
            // A connection keeps its order: the first of its letters is the next.
            index = 0;
            while (letters.get(index).connection() <= INTERNAL) {
                index++;
            }
            letter = letters.get(index);
        }
        boolean again = letter.connection() == LATE && chance(30);
        if (!again) {
            letters.remove(index);
        }
        receive(letter);
        return true;
    }

    private void receive(Letter letter) {
        Host to = letter.to();
        if (!to.isUp() || !to.up().incarnation().equals(letter.incarnation())) {
            if (letter.connection() == connection) {
                breakConnection();
            }
            return;
        }
        Event event = letter.event();
        switch (event) {
            case Event.Replied replied -> to.calls.remove(replied.call());
            case Event.Refused refused -> to.calls.remove(refused.call());
            case Event.Unreachable unreachable -> to.calls.remove(unreachable.call());
            default -> {}
        }
        if (event instanceof Event.Asked(long ignored, Message.Request request)
                && letter.connection() == LATE) {
            // A late request has nobody to answer; give it a name of its own, for it may recur.
            long own = id();
            callers.put(own, new Caller(to, letter.incarnation(), 0, LATE, request));
            event = new Event.Asked(own, request);
        }
        actor.step(to, event);
    }

    /// The connection is gone: replies are lost, requests are lost or late, calls are unanswered.
    void breakConnection() {
        say(() -> "  the connection breaks");
        for (int index = letters.size() - 1; index >= 0; index--) {
            Letter letter = letters.get(index);
            if (letter.connection() != connection) {
                continue;
            }
            letters.remove(index);
            if (letter.event() instanceof Event.Asked && chance(50)) {
                letters.add(new Letter(letter.to(), letter.incarnation(), letter.event(), LATE));
            }
        }
        connection++;
        for (Host host : List.of(a, b)) {
            if (!host.isUp()) {
                continue;
            }
            for (long call : host.calls) {
                post(host, new Event.Unreachable(call, "the connection broke"));
            }
            host.calls.clear();
            if (chance(70)) {
                post(host, new Event.LinkLost("the connection broke"));
            }
            if (host.remote != null && chance(70)) {
                failWrites(host);
                post(host, new Event.RemoteFailed("the connection broke"));
            }
        }
    }

    /// What a primary has in flight to its target fails; it may land all the same.
    void failWrites(Host host) {
        for (Host.Write write : host.writes) {
            if (write.remote == Host.Write.Remote.PENDING) {
                write.remote = Host.Write.Remote.FAILED;
            }
        }
        host.writes.removeIf(write -> write.copy && write.remote == Host.Write.Remote.FAILED);
        host.remote = null;
        host.copyAt = Host.NOTHING;
    }

    /// One write reaches the target's host: it lands, or its session is over.
    void deliverWrite(Sent write) {
        Host to = peer(write.from());
        boolean answered =
                linkUp
                        && write.from().isUp()
                        && write.from().up().incarnation().equals(write.incarnation())
                        && write.write().remote == Host.Write.Remote.PENDING;
        if (to.isUp() && write.session().equals(to.target)) {
            to.applyAsTarget(write.write().block, write.write().value);
            if (answered) {
                write.write().remote = Host.Write.Remote.DONE;
                write.from().writes.removeIf(it -> it == write.write() && it.copy);
            } else {
                hit(Probe.LATE_WRITE_LANDED_ON_ONE_SIDE);
            }
            return;
        }
        if (answered) {
            failWrites(write.from());
            post(write.from(), new Event.RemoteFailed("the target refused a write"));
        } else {
            hit(Probe.LATE_WRITE_REFUSED_BY_THE_FENCE);
        }
    }

    void crash(Host host, boolean power) {
        say(() -> host.name + (power ? " loses its power" : " crashes"));
        host.crash(power, random.nextLong());
        letters.removeIf(letter -> letter.to() == host);
        breakConnection();
    }
}
