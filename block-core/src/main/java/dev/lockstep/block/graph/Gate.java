package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.CompressedTarget;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.Placing;
import dev.lockstep.block.WriteFlag;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// One edge of the block graph: the only way to reach a device.
///
/// A gate accepts any range and any flags. It refuses what is wrong, emulates what the device below
/// lacks, and otherwise passes the request on unchanged. While it is shut, blocking requests wait
/// and the `now` requests answer false.
public final class Gate implements BlockDevice, Resizable, CompressedTarget, Placing {
    /// The sign bit of [#state]; the other bits count the requests in flight.
    private static final long SHUT = Long.MIN_VALUE;

    /// Shut bit and count in one word, so that entering is one atomic operation: a request that
    /// sees the bit after incrementing takes its increment back.
    private final AtomicLong state = new AtomicLong();

    /// Guards: shutters, and every change of the shut bit, of target and of failure. Conditions:
    /// `changed` wakes requests that wait for an open gate and callers of [#awaitQuiet].
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final boolean readOnly;
    private volatile Child target;
    private volatile @Nullable BlockException failure;
    private int shutters;

    /// An open gate to a device, through which it can be written to if the device allows that.
    public Gate(BlockDevice device) {
        this(device, false);
    }

    private Gate(BlockDevice device, boolean readOnly) {
        this.readOnly = readOnly;
        this.target = Child.of(device);
    }

    /// An open gate through which nothing can be written.
    public static Gate readOnly(BlockDevice device) {
        return new Gate(device, true);
    }

    /// The device behind the gate.
    public BlockDevice device() {
        return target.device();
    }

    @Override
    public String description() {
        return target.device().description();
    }

    @Override
    public long size() {
        return target.size();
    }

    /// What a user of this gate can rely on: any alignment, and everything that can be emulated.
    @Override
    public Capabilities capabilities() {
        Capabilities below = target.capabilities();
        return new Capabilities(
                below.readOnly() || readOnly,
                below.fua() == Support.NATIVE ? Support.NATIVE : Support.EMULATED,
                below.zero() == Support.NATIVE ? Support.NATIVE : Support.EMULATED,
                below.discard(),
                1,
                false,
                Math.max(below.preferredBlockSize(), below.alignment()),
                below.sharedFlush());
    }

    @Override
    public void read(long offset, ByteBuffer buffer) throws BlockException {
        checkRange("read", offset, buffer.remaining());
        if (!buffer.hasRemaining()) {
            return;
        }
        Child child = enter();
        try {
            child.read(offset, buffer);
        } finally {
            leave();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        checkWrite("write", offset, source.remaining());
        if (!source.hasRemaining()) {
            return;
        }
        Child child = enter();
        try {
            child.write(offset, source, flags);
        } finally {
            leave();
        }
    }

    @Override
    public int compressedUnit() {
        return target.device() instanceof CompressedTarget compressed
                ? compressed.compressedUnit()
                : 0;
    }

    @Override
    public Compressed compress(long offset, ByteBuffer source) throws BlockException {
        checkWrite("compressed write", offset, source.remaining());
        Child child = enter();
        try {
            return new GatedUnit(this, child, child.compress(offset, source));
        } finally {
            leave();
        }
    }

    @Override
    public boolean placesOnWrite() {
        return target.device() instanceof Placing placing && placing.placesOnWrite();
    }

    @Override
    public boolean place(long offset, long length) throws BlockException {
        checkWrite("place", offset, length);
        Child child = enter();
        try {
            return child.place(offset, length);
        } finally {
            leave();
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        checkWrite("zero", offset, length);
        if (length == 0) {
            return;
        }
        Child child = enter();
        try {
            child.zero(offset, length, flags);
        } finally {
            leave();
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        checkWrite("discard", offset, length);
        Child child = enter();
        try {
            child.discard(offset, length);
        } finally {
            leave();
        }
    }

    @Override
    public void flush() throws BlockException {
        Child child = enter();
        try {
            child.device().flush();
        } finally {
            leave();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        checkRange("extents", offset, length);
        if (length == 0) {
            throw new IllegalArgumentException("extents of an empty range");
        }
        Child child = enter();
        try {
            return child.extents(offset, length);
        } finally {
            leave();
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer buffer) throws BlockException {
        checkRange("read", offset, buffer.remaining());
        Child child = tryEnter();
        if (child == null) {
            return false;
        }
        try {
            return buffer.hasRemaining() && child.aligned().readNow(offset, buffer);
        } finally {
            leave();
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        checkWrite("write", offset, source.remaining());
        Child child = tryEnter();
        if (child == null) {
            return false;
        }
        try {
            return source.hasRemaining() && child.aligned().writeNow(offset, source);
        } finally {
            leave();
        }
    }

    /// Whether what is begun here goes on by itself; otherwise whoever awaits it does it.
    public boolean beginsRequests() {
        return target.begins();
    }

    /// Begins a read, as [#startWrite] begins a write; the target's position does not move.
    public Pending startRead(long offset, ByteBuffer buffer) throws BlockException {
        checkRange("read", offset, buffer.remaining());
        if (!buffer.hasRemaining()) {
            return Pending.DONE;
        }
        return new EnteredRequest(this, begin().startRead(offset, buffer));
    }

    /// Begins a write, so that the caller can do something else before it awaits the end. Where the
    /// device cannot begin one ([Startable]), awaiting it does the whole of it.
    ///
    /// @throws BlockException if it was not begun, so that there is nothing to await
    public Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags)
            throws BlockException {
        checkWrite("write", offset, source.remaining());
        if (!source.hasRemaining()) {
            return Pending.DONE;
        }
        return new EnteredRequest(this, begin().startWrite(offset, source, flags));
    }

    /// Begins a zero, as [#startWrite] begins a write.
    public Pending startZero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        checkWrite("zero", offset, length);
        if (length == 0) {
            return Pending.DONE;
        }
        return new EnteredRequest(this, begin().startZero(offset, length, flags));
    }

    /// Begins a flush, as [#startWrite] begins a write.
    public Pending startFlush() throws BlockException {
        return new EnteredRequest(this, begin().startFlush());
    }

    /// Requests in flight are not disturbed, since nothing that they can reach changes.
    @Override
    public long remeasure() {
        if (target.device() instanceof Resizable resizable) {
            lock.lock();
            try {
                target = target.withSize(resizable.remeasure());
            } finally {
                lock.unlock();
            }
        }
        return target.size();
    }

    /// Drains the gate for it.
    @Override
    public void resize(long bytes) throws BlockException {
        checkWrite("resize", 0, 0);
        if (!(target.device() instanceof Resizable resizable)) {
            throw new BlockException(
                    Kind.UNSUPPORTED, "%s: its length is fixed".formatted(description()));
        }
        drain();
        try {
            resizable.resize(bytes);
            remeasure();
        } finally {
            open();
        }
    }

    /// Requests in flight go on meanwhile.
    @Override
    public void grow(long bytes) throws BlockException {
        checkWrite("grow", 0, 0);
        if (bytes <= size()) {
            return;
        }
        if (!(target.device() instanceof Resizable resizable)) {
            throw new BlockException(
                    Kind.NO_SPACE, "%s: it cannot become longer".formatted(description()));
        }
        resizable.grow(bytes);
        remeasure();
    }

    /// Does nothing: who opened the device behind the gate closes it.
    @Override
    public void close() {}

    /// Requests in flight through this gate.
    public long inFlight() {
        return state.get() & ~SHUT;
    }

    /// Lets no new request pass until [#open] was called as often as this.
    public void shut() {
        lock.lock();
        try {
            if (shutters++ == 0) {
                state.getAndUpdate(word -> word | SHUT);
            }
        } finally {
            lock.unlock();
        }
    }

    /// Takes one [#shut] back.
    public void open() {
        lock.lock();
        try {
            if (shutters == 0) {
                throw new IllegalStateException("the gate is not shut");
            }
            if (--shutters == 0) {
                state.getAndUpdate(word -> word & ~SHUT);
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Waits until no request is in flight through the gate, which is shut, or until somebody who
    /// gave up waiting has opened it.
    ///
    /// @return whether it is quiet, and will stay so until it is opened
    public boolean awaitQuiet() {
        lock.lock();
        try {
            while (shutters > 0 && inFlight() != 0) {
                changed.awaitUninterruptibly();
            }
            return shutters > 0;
        } finally {
            lock.unlock();
        }
    }

    /// Shuts the gate and waits until nothing is in flight.
    public void drain() {
        shut();
        if (!awaitQuiet()) {
            throw new IllegalStateException("a gate was opened by somebody who had not shut it");
        }
    }

    /// Puts another device behind the gate, which is shut and quiet.
    ///
    /// @throws IllegalArgumentException if its size is another one
    public void replace(BlockDevice device) {
        lock.lock();
        try {
            // A request that comes to a shut gate is counted until it has seen that it is shut, so
            // the count of a quiet gate is not always zero; awaiting it is no wait to speak of.
            if (!awaitQuiet()) {
                throw new IllegalStateException("a gate is drained before its device is replaced");
            }
            if (device.size() != target.size()) {
                throw new IllegalArgumentException(
                        "%s has %d bytes, %s has %d"
                                .formatted(
                                        description(),
                                        size(),
                                        device.description(),
                                        device.size()));
            }
            target = Child.of(device);
            failure = null;
        } finally {
            lock.unlock();
        }
    }

    /// Fails every request from now on, those that wait included, until the device is replaced. If
    /// the device is an [Abortable] it is told to give up what it has in flight. The first cause
    /// stays.
    public void fail(BlockException cause) {
        BlockException first;
        lock.lock();
        try {
            first = failure == null ? cause : failure;
            failure = first;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (target.device() instanceof Abortable abortable) {
            abortable.abort(first);
        }
    }

    /// Why this edge was failed, or null while it works.
    public @Nullable BlockException failure() {
        return failure;
    }

    Child enter() throws BlockException {
        while (state.getAndIncrement() < 0) {
            uncount();
            awaitOpen();
        }
        BlockException cause = failure;
        if (cause != null) {
            uncount();
            throw cause.again();
        }
        assert RequestScope.entered();
        return target;
    }

    /// Enters for a request that this thread is not inside of while it is under way.
    private Child begin() throws BlockException {
        Child child = enter();
        assert RequestScope.left();
        return child;
    }

    private @Nullable Child tryEnter() {
        if (state.getAndIncrement() < 0 || failure != null) {
            uncount();
            return null;
        }
        assert RequestScope.entered();
        return target;
    }

    void leave() {
        assert RequestScope.left();
        uncount();
    }

    void uncount() {
        if (state.decrementAndGet() == SHUT) {
            lock.lock();
            try {
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    private void awaitOpen() throws BlockException {
        lock.lock();
        try {
            while (shutters > 0) {
                BlockException cause = failure;
                if (cause != null) {
                    throw cause.again();
                }
                changed.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private void checkWrite(String operation, long offset, long length) throws BlockException {
        if (readOnly || target.capabilities().readOnly()) {
            throw BlockException.at(
                    Kind.READ_ONLY, this, operation, offset, length, "the device is read-only");
        }
        checkRange(operation, offset, length);
    }

    private void checkRange(String operation, long offset, long length) throws BlockException {
        target.checkRange(operation, offset, length);
    }
}
