package dev.lockstep.block.filter.fault;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.ResizableFilter;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.graph.Abortable;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// A filter that delays or fails the requests that its rules pick. Rules come and go while requests
/// are in flight. A `now` request that a rule might pick is declined, so that rules only ever count
/// the blocking ones.
public final class FaultDevice extends ResizableFilter implements Abortable {
    private final Gate gate;
    private final List<Rule> rules = new CopyOnWriteArrayList<>();

    /// Guards: aborted, and every rule's removed. Condition: `changed` wakes the delayed requests.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private @Nullable BlockException aborted;

    /// A filter with rules that apply from the start.
    public FaultDevice(Gate child, Fault... faults) {
        super(child);
        this.gate = child;
        for (Fault fault : faults) {
            add(fault);
        }
    }

    /// A fault in force.
    public final class Rule {
        private final Fault fault;
        private final Trigger.Counter counter;
        private boolean removed;

        private Rule(Fault fault) {
            this.fault = fault;
            this.counter = new Trigger.Counter(fault.when());
        }

        /// How many requests it has delayed or failed, those waiting now included.
        public long hits() {
            return counter.picked();
        }

        /// Ends it. The requests that it delays go on at once.
        public void remove() {
            rules.remove(this);
            lock.lock();
            try {
                removed = true;
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    /// Puts a fault in force, after those there are.
    public Rule add(Fault fault) {
        Rule rule = new Rule(fault);
        rules.add(rule);
        return rule;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int length = target.remaining();
        run(Operation.READ, offset, length, () -> child.read(offset, target));
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        int length = source.remaining();
        run(Operation.WRITE, offset, length, () -> child.write(offset, source, flags));
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        run(Operation.ZERO, offset, length, () -> child.zero(offset, length, flags));
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        run(Operation.DISCARD, offset, length, () -> child.discard(offset, length));
    }

    @Override
    public void flush() throws BlockException {
        run(Operation.FLUSH, 0, size(), child::flush);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        disturb(Operation.EXTENTS, offset, length, false);
        List<Extent> found = child.extents(offset, length);
        disturb(Operation.EXTENTS, offset, length, true);
        return found;
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return !mayPick(Operation.READ, offset, target.remaining())
                && child.readNow(offset, target);
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return !mayPick(Operation.WRITE, offset, source.remaining())
                && child.writeNow(offset, source);
    }

    /// Fails the requests that are held or delayed here, and tells the device below.
    @Override
    public void abort(BlockException cause) {
        lock.lock();
        try {
            // Whoever has not woken yet is told the first cause.
            if (aborted == null) {
                aborted = cause;
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (gate.device() instanceof Abortable abortable) {
            abortable.abort(cause);
        }
    }

    private interface Request {
        void run() throws BlockException;
    }

    private void run(Operation operation, long offset, long length, Request request)
            throws BlockException {
        disturb(operation, offset, length, false);
        request.run();
        disturb(operation, offset, length, true);
    }

    private boolean mayPick(Operation operation, long offset, long length) {
        for (Rule rule : rules) {
            if (rule.fault.when().matches(operation, offset, length)) {
                return true;
            }
        }
        return false;
    }

    private void disturb(Operation operation, long offset, long length, boolean late)
            throws BlockException {
        for (Rule rule : rules) {
            if (rule.fault.late() == late && rule.counter.picks(operation, offset, length)) {
                await(rule);
                Kind error = rule.fault.error();
                if (error != null) {
                    throw injected(error, operation, offset, length);
                }
            }
        }
    }

    private BlockException injected(Kind error, Operation operation, long offset, long length) {
        return BlockException.at(
                error,
                this,
                operation.toString().toLowerCase(Locale.ROOT),
                offset,
                length,
                "injected fault");
    }

    private void await(Rule rule) throws BlockException {
        Duration delay = rule.fault.delay();
        if (delay.isZero()) {
            return;
        }
        long left = TimeUnit.NANOSECONDS.convert(delay);
        lock.lock();
        try {
            while (!rule.removed && left > 0) {
                BlockException cause = aborted;
                if (cause != null) {
                    throw cause.again();
                }
                left = changed.awaitNanos(left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Kind.GONE, description() + ": interrupted while delayed", e);
        } finally {
            lock.unlock();
        }
    }
}
