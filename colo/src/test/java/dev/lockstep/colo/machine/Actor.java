package dev.lockstep.colo.machine;

import java.util.List;
import java.util.Optional;

/// The daemon of a simulated host: steps its machine and carries out what it is told.
final class Actor {
    private final World world;

    Actor(World world) {
        this.world = world;
    }

    void step(Host host, Event event) {
        Node before = host.up();
        Event seen = world.twist.before(before, event);
        world.say(() -> host.name + " <- " + seen);
        run(host, before, Machine.step(before, seen, world.moment()));
    }

    void run(Host host, Node before, Step decided) {
        Step step = world.twist.after(before, decided);
        host.node = step.node();
        for (Action action : step.actions()) {
            if (!host.isUp()) {
                return;
            }
            if (world.random.nextInt(500) == 0) {
                world.crash(host, world.chance(50));
                return;
            }
            world.say(() -> "   " + host.name + " -> " + action);
            carryOut(host, action);
        }
    }

    private void carryOut(Host host, Action action) {
        switch (action) {
            case Action.Store it -> host.pending.add(it);
            case Action.Flush it -> host.pending.add(it);
            case Action.Drain it -> host.pending.add(it);
            case Action.Attach it -> host.pending.add(it);
            case Action.Commit it -> host.pending.add(it);
            case Action.Fence it -> {
                if (world.twist.fences()) {
                    host.target = null;
                }
                host.pending.add(it);
            }
            case Action.ShutGuest it -> host.guestOpen = false;
            case Action.OpenGuest it -> host.guestOpen = true;
            case Action.FailRemote it -> world.failWrites(host);
            case Action.Send it -> send(host, it);
            case Action.Reply it -> answer(host, it.call(), it.reply());
            case Action.Refuse it -> refuse(it.call(), it.reason());
            case Action.OpenTarget it -> openTarget(host, it);
            case Action.SwapBuffers it -> world.rules.swapped(host);
            case Action.DropBuffers it -> world.rules.dropped(host);
            case Action.StartCopy it -> host.copyAt = world.twist.copies() ? 0 : Host.BLOCKS;
            case Action.Answer it -> world.rules.answered(host, it);
            case Action.Ready it -> {}
            case Action.Changed it -> world.rules.changed(host, it);
            case Action.Warn it -> {}
            case Action.Exit it -> {
                if (it.failure().orElse("").contains("--sync none")) {
                    world.hit(Probe.JOIN_REFUSED);
                }
                world.crash(host, false);
            }
        }
    }

    private void openTarget(Host host, Action.OpenTarget open) {
        host.target = open.session();
        host.saving = open.saving();
        world.rules.joined(host, open.session(), !open.saving());
    }

    private void send(Host host, Action.Send send) {
        Host peer = world.peer(host);
        if (!world.linkUp || !peer.isUp()) {
            world.post(host, new Event.Unreachable(send.call(), "no route"));
            return;
        }
        long call = world.id();
        host.calls.add(send.call());
        world.callers.put(
                call,
                new World.Caller(
                        host,
                        host.up().incarnation(),
                        send.call(),
                        world.connection,
                        send.request()));
        if (send.request() instanceof Message.Checkpoint
                && host.lastAsked.equals(Optional.of(send.request()))) {
            world.hit(Probe.CHECKPOINT_ASKED_TWICE);
        }
        world.rules.asked(host, send.request());
        host.lastAsked = Optional.of(send.request());
        world.mail(peer, peer.up().incarnation(), new Event.Asked(call, send.request()));
    }

    private void answer(Host host, long call, Message.Reply reply) {
        world.rules.replied(host, reply);
        World.Caller caller = world.callers.get(call);
        if (caller != null && caller.connection() == world.connection) {
            world.mail(
                    caller.host(), caller.incarnation(), new Event.Replied(caller.call(), reply));
        }
    }

    private void refuse(long call, String reason) {
        World.Caller caller = world.callers.get(call);
        if (caller == null) {
            return;
        }
        if (caller.connection() == world.connection) {
            world.mail(
                    caller.host(), caller.incarnation(), new Event.Refused(caller.call(), reason));
        }
        switch (caller.request()) {
            case Message.Join join when reason.contains("through this session already") ->
                    world.hit(Probe.LATE_JOIN_REFUSED);
            case Message.Checkpoint checkpoint -> world.hit(Probe.LATE_CHECKPOINT_REFUSED);
            case Message.Leave leave -> world.hit(Probe.LATE_LEAVE_REFUSED);
            case Message.Query query -> world.hit(Probe.PRIMARY_REFUSED_TO_BE_ASKED);
            case Message.PeerStale stale when reason.contains("a primary itself") ->
                    world.hit(Probe.PROMOTED_SIDE_REFUSED_TO_BE_TOLD);
            default -> {}
        }
    }

    /// Ends one long action if it can end now.
    void finish(Host host, int index) {
        Action action = host.pending.get(index);
        switch (action) {
            case Action.Store(long ticket, DurableRecord record) -> {
                host.pending.remove(index);
                world.rules.stored(host, record);
                step(host, new Event.Stored(ticket, record));
            }
            case Action.Flush(long ticket) -> {
                host.pending.remove(index);
                flushBoth(host, ticket);
            }
            case Action.Drain(long ticket, Optional<Identity> _) -> drain(host, ticket, index);
            case Action.Fence(long ticket) -> {
                host.pending.remove(index);
                host.flush();
                step(host, new Event.Done(ticket));
            }
            case Action.Attach(long ticket, Nonce session) -> attach(host, ticket, session, index);
            case Action.Commit(long ticket) -> {
                if (!host.commitBlock()) {
                    host.pending.remove(index);
                    step(host, new Event.Done(ticket));
                }
            }
            default -> throw new IllegalStateException("not a long action: " + action);
        }
    }

    private void drain(Host host, long ticket, int index) {
        if (host.guestOpen) {
            host.pending.remove(index);
            step(host, new Event.Failed(ticket, Event.Culprit.LOCAL, "the guest was let in"));
            return;
        }
        if (!host.writes.isEmpty() && world.twist.drains()) {
            return;
        }
        host.pending.remove(index);
        flushBoth(host, ticket);
    }

    /// A flush of the remote needs the link; a secondary, or a side alone, has only its disk.
    private void flushBoth(Host host, long ticket) {
        host.flush();
        boolean paired = host.up().role() == Role.PRIMARY && host.up().session().isPresent();
        if (paired) {
            Host peer = world.peer(host);
            if (host.remote == null || !world.linkUp || !host.remote.equals(peer.target)) {
                world.failWrites(host);
                step(host, new Event.Failed(ticket, Event.Culprit.REMOTE, "flush failed"));
                return;
            }
            peer.flush();
        }
        step(host, new Event.Done(ticket));
    }

    private void attach(Host host, long ticket, Nonce session, int index) {
        host.pending.remove(index);
        if (world.linkUp && session.equals(world.peer(host).target)) {
            host.remote = session;
            step(host, new Event.Done(ticket));
        } else {
            step(host, new Event.Failed(ticket, Event.Culprit.REMOTE, "cannot attach"));
        }
    }

    /// Stores end in their order; anything else whenever it likes.
    boolean finishOne(Host host) {
        List<Action> pending = host.pending;
        if (pending.isEmpty()) {
            return false;
        }
        int index = world.random.nextInt(pending.size());
        if (pending.get(index) instanceof Action.Store) {
            index = 0;
            while (!(pending.get(index) instanceof Action.Store)) {
                index++;
            }
        }
        finish(host, index);
        return true;
    }
}
