package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Pending;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

/// One request on both children: begun on the peer, done on the local disk, awaited on the peer. No
/// failure of one keeps the other from being tried, and nothing is thrown before both are done.
final class Attempt {
    /// Who was attached when the request was made, or null if nobody was.
    final @Nullable Replica replica;

    @Nullable BlockException localFailure;
    @Nullable BlockException peerFailure;
    private @Nullable Pending pending;

    Attempt(@Nullable Replica replica) {
        this.replica = replica;
    }

    /// Begins the request on the peer.
    interface BeginOnPeer {
        Pending begin(Gate peer) throws BlockException;
    }

    /// Does the request on the local disk.
    interface OnLocal {
        void run() throws BlockException;
    }

    /// Has both children at work at once. Returns when both are done.
    Attempt runTogether(BeginOnPeer onPeer, OnLocal onLocal) {
        begin(onPeer);
        try {
            tryLocal(onLocal);
        } finally {
            awaitPeer();
        }
        return this;
    }

    /// Does the request on the local disk and then on the peer, unless the local disk refused it.
    Attempt runInTurn(OnLocal onLocal, BeginOnPeer onPeer) {
        tryLocal(onLocal);
        if (!refused()) {
            begin(onPeer);
            awaitPeer();
        }
        return this;
    }

    /// Whether the local disk said, having changed nothing, that it cannot do such a request.
    boolean refused() {
        return localFailure != null && localFailure.kind() == Kind.UNSUPPORTED;
    }

    /// Whether the peer has it too.
    boolean onPeer() {
        return replica != null && peerFailure == null;
    }

    /// Whether both children have it.
    boolean onBoth() {
        return onPeer() && localFailure == null;
    }

    private void tryLocal(OnLocal onLocal) {
        try {
            onLocal.run();
        } catch (BlockException e) {
            localFailure = e;
        }
    }

    private void begin(BeginOnPeer onPeer) {
        if (replica == null) {
            return;
        }
        try {
            pending = onPeer.begin(replica.gate);
        } catch (BlockException e) {
            peerFailure = e;
        }
    }

    private void awaitPeer() {
        if (pending == null) {
            return;
        }
        try {
            pending.await();
        } catch (BlockException e) {
            peerFailure = e;
        }
    }
}
