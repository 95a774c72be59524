package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Host.Write;

import java.util.Arrays;
import java.util.Optional;

/// What may happen next in a simulated world.
final class Moves {
    private static final int PAIRING_MOVES_MAX = 200;
    private static final int CALM_MOVES = 25;
    private final World world;
    private final Actor actor;
    private final Settings settings;

    Moves(World world, Actor actor, Settings settings) {
        this.world = world;
        this.actor = actor;
        this.settings = settings;
    }

    /// Most histories begin where it gets interesting: with a pair that runs, or copies.
    void pairUp() {
        start(world.b, Role.SECONDARY, SyncMode.UNSPECIFIED, false);
        boolean full = world.chance(30);
        start(world.a, Role.PRIMARY, full ? SyncMode.FULL : SyncMode.NONE, false);
        for (int move = 0; move < PAIRING_MOVES_MAX; move++) {
            if (!world.a.isUp() || world.a.up().state() != State.WAITING) {
                return;
            }
            if (!world.deliver()) {
                finish();
            }
        }
    }

    /// One move. The weights make a history of a hundred moves visit a few states, not one.
    void random() {
        int dice = world.random.nextInt(1000);
        if (dice < 10) {
            calm();
        } else if (dice < 520) {
            progress();
        } else if (dice < 600) {
            issue(leader());
        } else if (dice < 680) {
            advanceWrite(leader());
        } else if (dice < 760) {
            deliverWrite();
        } else if (dice < 790) {
            secondaryGuestWrites(world.peer(leader()));
        } else if (dice < 860) {
            copy(leader());
        } else if (dice < 910) {
            pass();
        } else if (dice < 955) {
            order(any());
        } else if (dice < 962) {
            crash(any());
        } else if (dice < 987) {
            restart(world.a.isUp() ? world.b : world.a);
        } else if (dice < 994) {
            link();
        } else {
            fault(any());
        }
    }

    private Host any() {
        return world.chance(50) ? world.a : world.b;
    }

    /// A while in which nothing goes wrong, so that what was begun gets done.
    private void calm() {
        for (int move = 0; move < CALM_MOVES; move++) {
            progress();
            copy(leader());
            advanceWrite(leader());
            deliverWrite();
            world.rules.check();
        }
    }

    /// A host that leads, if there is one.
    private Host leader() {
        Host host = any();
        return host.is(Role.PRIMARY) ? host : world.peer(host);
    }

    private void progress() {
        if (world.chance(50)) {
            if (!world.deliver()) {
                finish();
            }
        } else {
            finish();
        }
    }

    private void finish() {
        Host host = any();
        if (!(host.isUp() && actor.finishOne(host))) {
            Host other = world.peer(host);
            if (other.isUp()) {
                actor.finishOne(other);
            }
        }
    }

    private void issue(Host host) {
        if (!host.is(Role.PRIMARY) || !host.guestOpen || host.up().state() == State.FAILED) {
            return;
        }
        int block = world.random.nextInt(Host.BLOCKS);
        if (!host.isBusy(block)) {
            send(host, block, world.value(), false);
        }
    }

    private void send(Host host, int block, int value, boolean copy) {
        Nonce session = host.remote;
        Write write =
                new Write(
                        block,
                        value,
                        copy,
                        session == null ? Write.Remote.NONE : Write.Remote.PENDING);
        host.writes.add(write);
        world.say(() -> host.name + (copy ? " copies " : " writes ") + value + " to " + block);
        if (session != null) {
            world.sent.add(new World.Sent(host, host.up().incarnation(), session, write));
        }
    }

    /// A write of a primary reaches its own disk, or is acknowledged if that is allowed.
    private void advanceWrite(Host host) {
        if (!host.isUp() || host.writes.isEmpty()) {
            return;
        }
        Write write = host.writes.get(world.random.nextInt(host.writes.size()));
        if (!write.local) {
            host.applyLocally(write);
            return;
        }
        if (write.copy) {
            return;
        }
        Acknowledgement rule = world.twist.rule(host.up());
        boolean allowed =
                switch (rule) {
                    case BOTH -> write.remote == Write.Remote.DONE;
                    case LOCAL_ONLY -> write.remote != Write.Remote.PENDING;
                    case HOLD -> false;
                };
        if (allowed) {
            world.say(() -> host.name + " acknowledges " + write.value);
            host.writes.remove(write);
            world.rules.acknowledged(host, write);
        } else if (rule == Acknowledgement.HOLD) {
            boolean storing = host.up().job() instanceof Job.Degrading;
            world.hit(
                    storing
                            ? Probe.WRITE_HELD_UNTIL_STALE_WAS_STORED
                            : Probe.WRITE_HELD_FOR_WANT_OF_A_PEER);
        }
    }

    private void deliverWrite() {
        if (!world.sent.isEmpty()) {
            int index = world.random.nextInt(world.sent.size());
            World.Sent sent = world.sent.remove(index);
            world.say(() -> "the write of " + sent.write().value + " arrives");
            world.deliverWrite(sent);
        }
    }

    private void secondaryGuestWrites(Host host) {
        if (host.is(Role.SECONDARY) && host.guestOpen && host.up().servesGuest()) {
            int block = world.random.nextInt(Host.BLOCKS);
            int value = world.value();
            world.say(() -> host.name + "'s own guest writes " + value + " to " + block);
            host.active[block] = value;
            host.expected[block] = value;
            if (!host.guestWrote) {
                host.guestWrote = true;
                actor.step(host, new Event.GuestWrote());
            }
        }
    }

    private void copy(Host host) {
        if (host.copyAt == Host.NOTHING || host.remote == null || !host.isUp()) {
            return;
        }
        if (host.copyAt < Host.BLOCKS) {
            if (!host.isBusy(host.copyAt)) {
                send(host, host.copyAt, host.disk[host.copyAt], true);
                host.copyAt++;
            }
        } else if (host.writes.stream().noneMatch(write -> write.copy)) {
            host.copyAt = Host.NOTHING;
            world.post(host, new Event.Copied());
        }
    }

    private void pass() {
        int[] millis = {50, 200, 200, 300, 700, 1500};
        world.pass(millis[world.random.nextInt(millis.length)]);
        heartbeat(world.a, world.b);
        heartbeat(world.b, world.a);
        for (Host host : new Host[] {world.a, world.b}) {
            if (host.isUp() && world.chance(90)) {
                actor.step(host, new Event.Clock());
            }
        }
    }

    private void heartbeat(Host from, Host to) {
        if (!from.is(Role.PRIMARY) || !to.isUp() || !world.linkUp || world.chance(15)) {
            return;
        }
        Optional<Nonce> session = from.up().session();
        if (session.isPresent() && session.equals(to.up().session())) {
            actor.step(to, new Event.Heard(session.get()));
            if (from.isUp() && world.chance(90)) {
                actor.step(from, new Event.Heard(session.get()));
            }
        }
    }

    private void order(Host host) {
        if (!host.isUp()) {
            return;
        }
        boolean force = world.chance(15);
        Order order = choose(host, force);
        host.forced |= force && order instanceof Order.Resync;
        host.repeated = host.up().state() == State.FAILING_OVER;
        long request = world.id();
        host.orders.put(request, order);
        if (order instanceof Order.Resync && host.up().role() == Role.PRIMARY) {
            DurableRecord record = host.stored.orElse(null);
            if (record != null && record.standing() == Standing.PROMOTED) {
                world.hit(Probe.PROMOTED_SIDE_RESYNCHRONISED);
            }
        }
        actor.step(host, new Event.Asks(request, order));
    }

    /// Mostly what makes sense; at times anything.
    private Order choose(Host host, boolean force) {
        int dice = world.random.nextInt(10);
        FailoverTo to = world.chance(50) ? FailoverTo.CHECKPOINT : FailoverTo.LATEST;
        boolean leads = host.is(Role.PRIMARY);
        if (dice >= 7) {
            dice = world.random.nextInt(10);
            leads = !leads;
        }
        if (leads && host.up().state() == State.DEGRADED) {
            return dice < 8 ? new Order.Resync(force) : new Order.Quit();
        } else if (leads) {
            return dice < 5
                    ? new Order.Checkpoint()
                    : dice < 6 ? new Order.GoAlone() : new Order.Quit();
        }
        return dice < 5
                ? new Order.Failover(to, force)
                : dice < 6 ? new Order.Checkpoint() : new Order.Quit();
    }

    private void crash(Host host) {
        if (host.isUp()) {
            if (!host.pending.isEmpty() && host.up().job() instanceof Job.Swapping) {
                world.hit(Probe.CRASH_BETWEEN_STORE_AND_SWAP);
            }
            world.crash(host, world.chance(40));
        }
    }

    private void restart(Host host) {
        if (host.isUp()) {
            return;
        }
        boolean primary = world.chance(75) == host.asPrimary;
        boolean equal = Arrays.equals(host.disk, world.peer(host).disk) && world.sent.isEmpty();
        SyncMode sync = world.chance(50) ? SyncMode.FULL : SyncMode.UNSPECIFIED;
        if (equal && world.chance(20)) {
            sync = SyncMode.NONE;
        }
        start(host, primary ? Role.PRIMARY : Role.SECONDARY, sync, world.chance(15));
    }

    private void start(Host host, Role role, SyncMode sync, boolean force) {
        StartDecision decision = StartDecision.decide(host.stored, role, force);
        world.say(() -> host.name + " starts as " + role + ", sync " + sync + ", " + decision);
        host.asPrimary = role == Role.PRIMARY;
        host.forced = force;
        host.sync = sync;
        host.wasFollowing = host.stored.isPresent() && host.stored.get().role() == Role.SECONDARY;
        if (!(decision instanceof StartDecision.Refuse)) {
            recover(host);
        }
        Nonce incarnation = world.nonce();
        Moment now = world.moment();
        Step step =
                switch (decision) {
                    case StartDecision.Refuse refuse -> null;
                    case StartDecision.Join join ->
                            Machine.startPrimary(
                                    settings, host.stored, sync, force, incarnation, now);
                    case StartDecision.Follow follow ->
                            Machine.startSecondary(
                                    follow, settings, host.stored, force, incarnation, now);
                    case StartDecision.ServeOn on ->
                            Machine.startPromoted(
                                    on, settings, host.stored.orElseThrow(), incarnation, now);
                };
        if (step == null) {
            return;
        }
        if (decision instanceof StartDecision.ServeOn(State state) && state == State.FAILING_OVER) {
            world.hit(Probe.COMMIT_RESUMED_AFTER_A_RESTART);
        }
        host.restartedInSession = host.inSession;
        actor.run(host, step.node(), step);
        if (host.guestWrote && host.is(Role.SECONDARY)) {
            actor.step(host, new Event.GuestWrote());
        }
    }

    /// What a process finds of its buffers: nothing if they were in memory, or belong to another
    /// checkpoint than the record's, or if this start does not use them.
    private void recover(Host host) {
        Optional<DurableRecord> stored = host.stored;
        boolean failingOver =
                stored.isPresent() && stored.get().standing() == Standing.FAILING_OVER;
        if (settings.volatileBuffers() && failingOver) {
            world.hit(Probe.BUFFERS_LOST_IN_A_FAILOVER);
        }
        boolean kept =
                !settings.volatileBuffers()
                        && stored.isPresent()
                        && stored.get().epoch() == host.buffersEpoch;
        if (!kept) {
            host.emptyBuffers();
            host.expectDisk();
            host.guestWrote = false;
        }
    }

    private void link() {
        if (world.linkUp) {
            world.say(() -> "the network is cut");
            world.linkUp = !world.chance(60);
            world.breakConnection();
        } else {
            world.say(() -> "the network is whole");
            world.linkUp = true;
        }
    }

    private void fault(Host host) {
        if (!host.isUp()) {
            return;
        }
        if (host.remote != null && world.chance(70)) {
            world.failWrites(host);
            actor.step(host, new Event.RemoteFailed("a fault"));
            return;
        }
        if (host.pending.isEmpty()) {
            return;
        }
        Action first = host.pending.getFirst();
        Event.Culprit culprit = Event.Culprit.LOCAL;
        long ticket =
                switch (first) {
                    case Action.Store(long own, DurableRecord record) -> {
                        culprit = Event.Culprit.STATE_FILE;
                        yield own;
                    }
                    case Action.Flush(long own) -> own;
                    case Action.Drain(long own, Optional<Identity> _) -> own;
                    case Action.Commit(long own) -> own;
                    case Action.Fence(long own) -> own;
                    default -> 0;
                };
        if (ticket != 0) {
            host.pending.removeFirst();
            actor.step(host, new Event.Failed(ticket, culprit, "a fault"));
        }
    }
}
