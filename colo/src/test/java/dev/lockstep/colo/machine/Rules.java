package dev.lockstep.colo.machine;

import dev.lockstep.colo.machine.Host.Write;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What is true of the world, and the safety rules over it. Nothing here asks what a machine
/// believes, but for whether it serves.
final class Rules {
    private final World world;
    private final Map<Nonce, Host> writerOf = new HashMap<>();
    private final Map<String, int[]> checkpoints = new HashMap<>();

    private final Set<Nonce> forcedSessions = new HashSet<>();

    Rules(World world) {
        this.world = world;
    }

    static void require(boolean holds, String rule) {
        if (!holds) {
            throw new Violation(rule);
        }
    }

    /// What must hold in every state.
    void check() {
        check(world.a);
        check(world.b);
    }

    private static void check(Host host) {
        if (!host.isUp()) {
            return;
        }
        Node node = host.up();
        boolean serves = node.role() == Role.PRIMARY ? host.guestOpen : node.hasCheckpoint();
        if (!serves) {
            return;
        }
        for (int block = 0; block < Host.BLOCKS; block++) {
            require(
                    host.view(block) == host.expected[block],
                    "a guest sees its checkpoint and its own writes, and nothing else");
            if (node.role() == Role.PRIMARY) {
                require(
                        host.view(block) >= host.mustHave[block],
                        "an acknowledged write is not lost");
            }
        }
    }

    /// A primary's guest hears that its write is done.
    void acknowledged(Host host, Write write) {
        DurableRecord stored = host.stored.orElseThrow();
        boolean both = write.local && write.remote == Write.Remote.DONE;
        boolean alone =
                write.local
                        && (stored.standing() == Standing.ALONE
                                || stored.standing() == Standing.PROMOTED
                                || stored.standing() == Standing.FAILING_OVER);
        require(both || alone, "nothing is acknowledged that the mode forbids");
        Nonce generation = stored.identity().generation();
        Host writer = writerOf.putIfAbsent(generation, host);
        require(writer == null || writer == host, "a generation has one writer");
        host.mustHave[write.block] = write.value;
        if (world.peer(host).is(Role.PRIMARY)
                && Acknowledgement.of(world.peer(host).up()) == Acknowledgement.LOCAL_ONLY) {
            world.hit(Probe.TWO_PRIMARIES_AT_ONCE);
        }
        if (stored.standing() == Standing.PAIRED || stored.standing() == Standing.CHECKPOINTING) {
            Host peer = world.peer(host);
            if (follows(peer, generation)) {
                peer.mustHave[write.block] = write.value;
            }
        } else {
            host.soleWrites = true;
            world.hit(Probe.WRITE_ACKNOWLEDGED_ALONE);
        }
    }

    /// A record has reached the state file.
    void stored(Host host, DurableRecord record) {
        if (host.stored.isPresent()
                && host.stored.get().role() == Role.SECONDARY
                && record.role() == Role.SECONDARY
                && record.epoch() > host.stored.get().epoch()) {
            checkpoints.put(name(record), host.disk.clone());
        }
        if (host.stored.isEmpty() && record.role() == Role.SECONDARY) {
            checkpoints.put(name(record), host.disk.clone());
        }
        if (record.role() == Role.PRIMARY) {
            leads(host, record);
        }
        host.stored = Optional.of(record);
        if (record.role() == Role.SECONDARY && !record.open()) {
            host.inSession = false;
        }
        if (record.standing() == Standing.FOLLOWING) {
            // A join's commit point is this record, whether or not its session ever opens.
            host.everJoined = true;
            host.toldStale = false;
            host.inconsistent = false;
        }
        if (world.twist.syncsStores()) {
            host.storedForGood = host.stored;
        }
    }

    /// This host's history is its own from now on, whether by a failover or by a forced start.
    private static void leads(Host host, DurableRecord record) {
        Standing before = host.stored.map(DurableRecord::standing).orElse(Standing.FOLLOWING);
        boolean gaveUp = before == Standing.FAILING_OVER && record.standing() != Standing.PROMOTED;
        if (before.role() == Role.PRIMARY && host.is(Role.PRIMARY) && !gaveUp) {
            return;
        }
        boolean buffered = record.standing() == Standing.FAILING_OVER;
        host.hadEverything = true;
        for (int block = 0; block < Host.BLOCKS; block++) {
            host.hadEverything &= host.disk[block] >= host.mustHave[block];
            host.mustHave[block] = buffered ? host.view(block) : host.disk[block];
        }
        host.inSession = false;
        host.soleWrites |= record.standing() != Standing.PAIRED && host.stored.isPresent();
        if (record.standing() == Standing.ALONE || record.standing() == Standing.PAIRED) {
            host.emptyBuffers();
            host.expectDisk();
        }
    }

    private static String name(DurableRecord record) {
        return record.identity().generation() + "@" + record.epoch();
    }

    /// A secondary's disk is its checkpoint from now on.
    void swapped(Host host) {
        DurableRecord record = host.stored.orElseThrow();
        host.emptyBuffers();
        host.expectDisk();
        host.saving = true;
        host.guestWrote = false;
        host.buffersEpoch = record.epoch();
        if (record.standing() != Standing.INCONSISTENT) {
            host.inconsistent = false;
        }
    }

    /// A failover has no more use for the buffers.
    void dropped(Host host) {
        host.emptyBuffers();
        if (host.stored.orElseThrow().standing() == Standing.PROMOTED && !host.committed) {
            host.expectDisk();
        }
        host.committed = false;
    }

    /// A primary asks to join; whether its operator consented to overwriting is known here.
    void asked(Host host, Message.Request request) {
        if (request instanceof Message.Join join && (host.forced || world.peer(host).forced)) {
            forcedSessions.add(join.session());
        }
    }

    /// A secondary has entered a session.
    void joined(Host host, Nonce session, boolean full) {
        boolean allowed = host.forced || forcedSessions.contains(session);
        if (full && host.soleWrites) {
            require(allowed, "what only one disk holds is not overwritten unforced");
            world.hit(Probe.FORMER_PRIMARY_OVERWRITTEN);
        }
        host.everJoined = true;
        host.toldStale = false;
        host.inconsistent = full;
        host.inSession = true;
        host.restartedInSession = false;
        host.soleWrites = false;
        host.forced = false;
    }

    void replied(Host host, Message.Reply reply) {
        if (reply instanceof Message.Noted && !host.inconsistent) {
            host.toldStale = true;
            world.hit(Probe.PEER_TOLD_THAT_IT_IS_STALE);
        }
    }

    /// A machine has changed its state.
    void changed(Host host, Action.Changed change) {
        if (change.to() == State.RUNNING && host.is(Role.PRIMARY)) {
            runs(host, change.from() == State.SYNCING);
        } else if (change.from() == State.SYNCING && host.is(Role.SECONDARY)) {
            if (change.to() == State.INCONSISTENT) {
                world.hit(Probe.SYNC_BROKEN_OFF);
            }
        } else if (change.from() == State.DEGRADED
                && change.to() == State.RUNNING
                && change.reason().contains("again")) {
            world.hit(Probe.CONTACT_LOST_AND_REGAINED);
        } else if (change.reason().startsWith("serving alone")) {
            world.hit(Probe.SERVED_ALONE_FROM_THE_START);
        } else if (change.to() == State.FAILED) {
            world.hit(Probe.PRIMARY_FAILED);
        }
    }

    /// A primary believes that its pair runs. The secondary may have been forced to lead meanwhile.
    private void runs(Host host, boolean synced) {
        Host peer = world.peer(host);
        Nonce generation = host.stored.orElseThrow().identity().generation();
        writerOf.put(generation, host);
        if (!follows(peer, generation)) {
            return;
        }
        require(
                Arrays.equals(host.disk, peer.disk),
                "a pair that runs has equal disks at its checkpoint");
        System.arraycopy(host.mustHave, 0, peer.mustHave, 0, Host.BLOCKS);
        host.soleWrites = false;
        peer.soleWrites = false;
        host.forced = false;
        if (synced) {
            world.hit(Probe.SYNC_COMPLETED);
        } else if (host.sync == SyncMode.UNSPECIFIED) {
            world.hit(
                    host.wasFollowing
                            ? Probe.RESUMED_WITH_ROLES_SWAPPED
                            : Probe.RESUMED_AFTER_A_CLEAN_STOP);
        }
    }

    private static boolean follows(Host host, Nonce generation) {
        return host.stored
                .map(DurableRecord::identity)
                .map(Identity::generation)
                .equals(Optional.of(generation));
    }

    /// An operator has got an answer.
    void answered(Host host, Action.Answer answer) {
        Order order = host.orders.remove(answer.request());
        if (order == null) {
            return;
        }
        switch (order) {
            case Order.Failover failover -> failedOver(host, failover, answer);
            case Order.Checkpoint checkpoint -> checkpointed(host, answer);
            case Order.GoAlone alone -> world.hit(Probe.WENT_ALONE_BY_ORDER);
            case Order.Resync resync -> {}
            case Order.Quit quit -> {}
        }
    }

    private void checkpointed(Host host, Action.Answer answer) {
        if (answer.refusal().isPresent()) {
            String reason = answer.refusal().get();
            if (reason.contains("known to it alone")) {
                world.hit(Probe.CHECKPOINT_IN_DOUBT_WHEN_THE_PEER_WAS_LOST);
                DurableRecord known = host.stored.orElseThrow();
                if (world.peer(host).stored.map(DurableRecord::epoch).orElse(0L)
                        == known.epoch() + 1) {
                    world.hit(Probe.CHECKPOINT_TAKEN_BUT_NOT_ANSWERED);
                }
            }
            return;
        }
        if (host.is(Role.SECONDARY)) {
            world.hit(Probe.LOCAL_CHECKPOINT);
            return;
        }
        DurableRecord record = host.stored.orElseThrow();
        int[] taken = checkpoints.get(name(record));
        require(
                taken != null && Arrays.equals(taken, host.disk),
                "an answered checkpoint holds on both sides");
        require(
                Arrays.equals(host.synced, host.disk),
                "an answered checkpoint is on the primary's stable storage");
        world.hit(Probe.CHECKPOINT_ANSWERED);
    }

    private void failedOver(Host host, Order.Failover order, Action.Answer answer) {
        if (answer.refusal().isPresent()) {
            world.hit(
                    answer.refusal().get().contains("guest has written")
                            ? Probe.FAILOVER_TO_LATEST_REFUSED_AS_THE_GUEST_WROTE
                            : Probe.FAILOVER_REFUSED);
            return;
        }
        if (host.repeated) {
            return;
        }
        boolean latest = order.to() == FailoverTo.LATEST;
        if (order.force()) {
            world.hit(Probe.FORCED_FAILOVER);
        } else {
            require(host.everJoined, "a side that was never in sync is not promoted unforced");
            require(!host.toldStale, "a stale side is not promoted unforced");
            require(!host.inconsistent, "half a copy is not promoted unforced");
            require(
                    !host.restartedInSession || (!latest && !host.volatileBuffers),
                    "a side that restarted in its session and has no checkpoint, or is to lead with"
                            + " its latest, is not promoted unforced");
            world.hit(latest ? Probe.FAILOVER_TO_LATEST : Probe.FAILOVER_TO_CHECKPOINT);
            if (host.restartedInSession) {
                world.hit(Probe.FAILOVER_TO_A_CHECKPOINT_THAT_OUTLIVED_A_RESTART);
            }
        }
        if (latest && !order.force()) {
            require(!host.guestWrote, "a failover to the latest drops no guest's write unforced");
            require(host.hadEverything, "a failover to the latest holds every acknowledged write");
        }
    }
}
