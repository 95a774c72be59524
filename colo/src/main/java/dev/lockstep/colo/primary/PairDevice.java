package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Abortable;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.machine.Acknowledgement;
import dev.lockstep.colo.primary.PairListener.Failure;
import dev.lockstep.colo.primary.PairListener.Operation;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/// A local disk and its replica on a peer, as one device.
///
/// **Policy.** Reads come from the local disk. A write, zero, discard or flush is acknowledged once
/// the local disk and the peer have done it, or the local disk has done it and the runtime has
/// permitted that ([Acknowledgement#LOCAL_ONLY]), which it does only after it has stored that the
/// peer is stale. A failure of the local disk is the guest's to hear. A failure of the peer is
/// never the guest's: the edge is failed, the runtime is told, and the request waits for its
/// decision.
///
/// **Order.** Requests that change overlapping bytes run one after the other, each on both
/// children, because two children may otherwise apply them in opposite order and differ for ever. A
/// request holds its range only until both children are done, never while it waits for a decision.
///
/// **Discard** is done as a zero that may unmap, since what a discard leaves behind differs by
/// device and the two disks must not.
///
/// **The peer comes and goes.** A request looks once, while it holds its range, whether there is a
/// peer. So a copy of a range made under its lock after [#attach] misses nothing.
public final class PairDevice implements BlockDevice, Abortable {
    /// Zeroes and discards go in steps of this many bytes. A step must end well within the I/O
    /// deadline of the peer, which saves what it overwrites: at 100 MB/s this takes a third of a
    /// second.
    static final long ZERO_STEP_BYTES = 32L << 20;

    private final Gate local;
    private final PairListener listener;
    private final RangeLock ranges = new RangeLock();
    private final Lacking lacking;

    /// Where the local disk failed, so that the peer may hold something else.
    private final ClusterBitmap differing;

    /// Guards: every change of `policy` and `aborted`. `decided` wakes requests that wait for one.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition decided = lock.newCondition();
    private volatile Policy policy = new Policy(Acknowledgement.LOCAL_ONLY, null);
    private volatile @Nullable BlockException aborted;

    /// What requests look at, once each.
    private record Policy(Acknowledgement needed, @Nullable Replica replica) {
        /// Whether a request may be acknowledged that is on the local disk, but not on `missed`.
        boolean permits(@Nullable Replica missed) {
            return switch (needed) {
                case LOCAL_ONLY -> true;
                case BOTH -> replica != null && replica != missed;
                case HOLD -> false;
            };
        }
    }

    /// A pair without a peer yet, whose requests are acknowledged once they are on the local disk.
    public PairDevice(Gate local, PairListener listener) {
        this.local = local;
        this.listener = listener;
        this.lacking = new Lacking(local.size());
        this.differing = Lacking.emptySet(local.size());
    }

    @Override
    public String description() {
        return "pair on " + local.description();
    }

    @Override
    public long size() {
        return local.size();
    }

    /// Zeroing and discarding are as good as the local disk's zero: both children's gates stand in
    /// for what the device behind them lacks.
    @Override
    public Capabilities capabilities() {
        Capabilities below = local.capabilities();
        boolean zeroes = below.zero() == Support.NATIVE;
        return new Capabilities(
                below.readOnly(),
                Support.NATIVE,
                below.zero(),
                zeroes ? Support.NATIVE : Support.NONE,
                1,
                false,
                below.preferredBlockSize(),
                true);
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        local.read(offset, target);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return local.readNow(offset, target);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return local.extents(offset, length);
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        awaitNoHold();
        int length = source.remaining();
        Attempt attempt;
        try (var _ = ranges.exclusive(offset, length)) {
            attempt =
                    new Attempt(policy.replica)
                            .runTogether(
                                    peer -> peer.startWrite(offset, source.duplicate(), flags),
                                    () -> writeLocal(offset, source, flags));
            remember(attempt, offset, length);
        }
        settle(attempt, Operation.WRITE, offset, length);
    }

    /// Inline only while there is no peer to wait for.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        Policy now = policy;
        if (now.replica != null || now.needed != Acknowledgement.LOCAL_ONLY) {
            return false;
        }
        int length = source.remaining();
        RangeLock.Hold range = ranges.tryExclusive(offset, length);
        if (range == null) {
            return false;
        }
        try (range) {
            if (!policy.equals(now) || !local.writeNow(offset, source)) {
                return false;
            }
            lacking.add(offset, length);
            return true;
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (flags.contains(WriteFlag.FAST)) {
            checkFastZero(offset, length);
        }
        Set<WriteFlag> rest = WriteFlag.without(flags, WriteFlag.FAST);
        for (long done = 0; done < length; ) {
            long step = Math.min(ZERO_STEP_BYTES, length - done);
            // A device that is fast at first is fast throughout, and only the first may be refused:
            // after it something has changed.
            zeroStep(offset + done, step, done == 0 ? flags : rest);
            done += step;
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        zero(offset, length, WriteFlag.UNMAP);
    }

    @Override
    public void flush() throws BlockException {
        awaitNoHold();
        Attempt attempt = flushBoth();
        settle(attempt, Operation.FLUSH, 0, 0);
    }

    /// Flushes for the runtime, which makes the decisions and so waits for none. A failure of the
    /// peer is reported as ever.
    ///
    /// @return what failed; a missing peer does not
    public FlushOutcome flushNow() {
        Attempt attempt = flushBoth();
        reportPeer(attempt, Operation.FLUSH, 0, 0);
        return new FlushOutcome(attempt.localFailure, attempt.peerFailure);
    }

    /// How a flush of both sides ended: each failure or null.
    public record FlushOutcome(
            @Nullable BlockException localFailure, @Nullable BlockException peerFailure) {}

    /// Does nothing: the children belong to whoever opened them.
    @Override
    public void close() {}

    /// Lets every write take effect on `peer` too from now on.
    ///
    /// @param whole whether the peer holds the same bytes already; otherwise [#copied] says when it
    ///     does
    public void attach(Gate peer, boolean whole) {
        if (peer.size() != size()) {
            throw new IllegalArgumentException(
                    "%s has %d bytes, %s has %d"
                            .formatted(description(), size(), peer.description(), peer.size()));
        }
        Replica replica = new Replica(peer, whole);
        lacking.peerHolds(whole);
        change(now -> new Policy(now.needed, replica));
    }

    /// Says that the whole disk has been copied to the peer that is attached.
    public void copied() {
        Replica replica = policy.replica;
        if (replica != null) {
            replica.whole = true;
            lacking.peerHolds(true);
        }
    }

    /// Leaves the peer alone from now on. Nobody closes it before its gate is quiet.
    public void detach() {
        change(now -> new Policy(now.needed, null));
    }

    /// Decides what requests need from now on, those that wait for a decision included.
    public void permit(Acknowledgement needed) {
        change(now -> new Policy(needed, now.replica));
    }

    /// Gives the attached peer up, as a request does that fails on it. The listener is not told.
    public void losePeer(BlockException cause) {
        Replica replica = policy.replica;
        if (replica != null) {
            replica.lose(cause);
        }
    }

    /// Fails the requests that wait for a decision, and those that come to: nobody will make one.
    @Override
    public void abort(BlockException cause) {
        lock.lock();
        try {
            aborted = cause;
            decided.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// What the peer may lack.
    Lacking lacking() {
        return lacking;
    }

    /// Whether no failure of the local disk has left the two disks different.
    public boolean equal() {
        return differing.noneSet(0, differing.size());
    }

    /// Copies to the peer what is on the local disk wherever a failure of the local disk may have
    /// left them different.
    ///
    /// @throws BlockException if a place could not be read, or the peer failed; they still differ
    public void reconcile() throws BlockException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(Lacking.CLUSTER_BYTES);
        for (long cluster = differing.nextSet(0);
                cluster < differing.size();
                cluster = differing.nextSet(cluster + 1)) {
            long offset = cluster * Lacking.CLUSTER_BYTES;
            int length = (int) Math.min(Lacking.CLUSTER_BYTES, size() - offset);
            try (var _ = ranges.exclusive(offset, length)) {
                copyHeld(offset, length, buffer);
                differing.clear(cluster);
            }
        }
    }

    /// Copies a range to the peer if the local disk holds data there, and zeroes it there if not.
    /// Writes to it wait meanwhile.
    ///
    /// @param buffer has room for `length` bytes
    void copy(long offset, int length, ByteBuffer buffer) throws BlockException {
        try (var _ = ranges.exclusive(offset, length)) {
            if (readsAsZeroes(offset, length)) {
                onPeer(offset, length, peer -> peer.zero(offset, length, WriteFlag.UNMAP));
            } else {
                copyHeld(offset, length, buffer);
            }
        }
    }

    /// Zeroes a range on the peer if the local disk holds nothing but zeroes there.
    ///
    /// @return false if it holds data; nothing was done
    boolean copyZeroes(long offset, long length) throws BlockException {
        if (!readsAsZeroes(offset, length)) {
            return false;
        }
        try (var _ = ranges.exclusive(offset, length)) {
            if (!readsAsZeroes(offset, length)) {
                return false;
            }
            onPeer(offset, length, peer -> peer.zero(offset, length, WriteFlag.UNMAP));
            return true;
        }
    }

    private void copyHeld(long offset, int length, ByteBuffer buffer) throws BlockException {
        buffer.clear().limit(length);
        local.read(offset, buffer);
        buffer.flip();
        if (Zeroes.fill(buffer)) {
            onPeer(offset, length, peer -> peer.zero(offset, length, WriteFlag.UNMAP));
        } else {
            onPeer(offset, length, peer -> peer.write(offset, buffer, WriteFlag.NONE));
        }
    }

    private boolean readsAsZeroes(long offset, long length) throws BlockException {
        long end = offset + length;
        for (long at = offset; at < end; ) {
            for (Extent extent : local.extents(at, end - at)) {
                if (extent.kind() == Extent.Kind.DATA) {
                    return false;
                }
                at = extent.end();
            }
        }
        return true;
    }

    /// A request on the peer alone.
    private interface PeerRequest {
        void run(Gate peer) throws BlockException;
    }

    private void onPeer(long offset, long length, PeerRequest request) throws BlockException {
        Replica replica = policy.replica;
        if (replica == null) {
            throw new BlockException(Kind.GONE, description() + " has no peer");
        }
        try {
            request.run(replica.gate);
        } catch (BlockException e) {
            lose(replica, new Failure(Operation.WRITE, offset, length, e));
            throw e;
        }
    }

    private Attempt flushBoth() {
        ClusterBitmap covered = lacking.beginFlush();
        Attempt attempt = new Attempt(policy.replica).runTogether(Gate::startFlush, local::flush);
        Replica replica = attempt.replica;
        lacking.endFlush(covered, attempt.onBoth() && replica != null && replica.whole);
        return attempt;
    }

    private void writeLocal(long offset, ByteBuffer source, Set<WriteFlag> flags)
            throws BlockException {
        if (flags.isEmpty() && local.writeNow(offset, source)) {
            return;
        }
        local.write(offset, source, flags);
    }

    private void zeroStep(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        awaitNoHold();
        Attempt attempt;
        try (var _ = ranges.exclusive(offset, length)) {
            Attempt.BeginOnPeer onPeer =
                    peer ->
                            peer.startZero(
                                    offset, length, WriteFlag.without(flags, WriteFlag.FAST));
            Attempt.OnLocal onLocal = () -> local.zero(offset, length, flags);
            attempt = new Attempt(policy.replica);
            if (flags.contains(WriteFlag.FAST)) {
                attempt.runInTurn(onLocal, onPeer);
            } else {
                attempt.runTogether(onPeer, onLocal);
            }
            remember(attempt, offset, length);
        }
        settle(attempt, Operation.WRITE, offset, length);
    }

    private void checkFastZero(long offset, long length) throws BlockException {
        Replica replica = policy.replica;
        boolean fast =
                local.capabilities().zero() == Support.NATIVE
                        && (replica == null
                                || replica.gate.capabilities().zero() == Support.NATIVE);
        if (!fast) {
            throw BlockException.at(
                    Kind.UNSUPPORTED,
                    this,
                    "zero",
                    offset,
                    length,
                    "it is not faster than a write on both sides");
        }
    }

    private void remember(Attempt attempt, long offset, long length) {
        if (attempt.refused()) {
            return;
        }
        lacking.add(offset, length);
        if (attempt.localFailure != null && attempt.replica != null) {
            Lacking.add(differing, offset, length);
        }
    }

    /// Throws what the guest must hear, and returns when the request may be acknowledged.
    private void settle(Attempt attempt, Operation operation, long offset, long length)
            throws BlockException {
        reportPeer(attempt, operation, offset, length);
        BlockException local = attempt.localFailure;
        if (local != null) {
            if (!attempt.refused()) {
                listener.localFailed(new Failure(operation, offset, length, local));
            }
            throw local;
        }
        if (!attempt.onPeer()) {
            awaitAcknowledgement(attempt.replica);
        }
    }

    private void reportPeer(Attempt attempt, Operation operation, long offset, long length) {
        if (attempt.replica != null && attempt.peerFailure != null) {
            lose(attempt.replica, new Failure(operation, offset, length, attempt.peerFailure));
        }
    }

    private void lose(Replica replica, Failure failure) {
        if (replica.lose(failure.cause())) {
            listener.peerFailed(replica.gate, failure);
        }
    }

    /// @param missed the peer that did not do the request, or null if there was none. Another peer,
    ///     attached since, is given it by the copy that makes it whole
    private void awaitAcknowledgement(@Nullable Replica missed) throws BlockException {
        if (policy.needed == Acknowledgement.LOCAL_ONLY) {
            return;
        }
        awaitUntil(now -> now.permits(missed));
    }

    /// Keeps a new request from beginning while nothing is acknowledged anyway.
    private void awaitNoHold() throws BlockException {
        if (policy.needed == Acknowledgement.HOLD) {
            awaitUntil(now -> now.needed != Acknowledgement.HOLD);
        }
    }

    private void awaitUntil(Predicate<Policy> decision) throws BlockException {
        lock.lock();
        try {
            while (!decision.test(policy)) {
                BlockException cause = aborted;
                if (cause != null) {
                    throw new BlockException(
                            cause.kind(), String.valueOf(cause.getMessage()), cause);
                }
                decided.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private void change(UnaryOperator<Policy> change) {
        lock.lock();
        try {
            policy = change.apply(policy);
            decided.signalAll();
        } finally {
            lock.unlock();
        }
    }
}
