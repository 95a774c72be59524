package dev.lockstep.nbd.server;

import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.Trigger;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The faults in force on a server. Without any, a request costs one look at an empty list.
final class Faults {
    private final List<Injected> injected = new CopyOnWriteArrayList<>();

    /// Guards: over, and every fault's removed. Condition: `changed` wakes the delayed requests.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private boolean over;

    /// A fault in force.
    private final class Injected implements InjectedFault {
        private final ServerFault fault;
        private final Trigger.Counter counter;
        private boolean removed;

        Injected(ServerFault fault) {
            this.fault = fault;
            this.counter = new Trigger.Counter(fault.when());
        }

        @Override
        public long hits() {
            return counter.picked();
        }

        @Override
        public void remove() {
            injected.remove(this);
            lock.lock();
            try {
                removed = true;
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    /// What was decided for one request.
    final class Verdict {
        private final Injected rule;

        private Verdict(Injected rule) {
            this.rule = rule;
        }

        ServerFault.Effect effect() {
            return rule.fault.effect();
        }

        /// Whether the device sees the request.
        boolean carriesOut() {
            return rule.fault.late()
                    || switch (rule.fault.effect()) {
                        case ServerFault.Refuse _, ServerFault.Drop _ -> false;
                        case ServerFault.Nothing _, ServerFault.Cut _, ServerFault.Corrupt _ ->
                                true;
                    };
        }

        /// Waits out the delay, on the request's own thread.
        void await() {
            long left = TimeUnit.NANOSECONDS.convert(rule.fault.delay());
            if (left == 0) {
                return;
            }
            lock.lock();
            try {
                while (!over && !rule.removed && left > 0) {
                    left = changed.awaitNanos(left);
                }
            } catch (InterruptedException _) {
                Thread.currentThread().interrupt();
            } finally {
                lock.unlock();
            }
        }
    }

    InjectedFault add(ServerFault fault) {
        Injected added = new Injected(fault);
        injected.add(added);
        return added;
    }

    /// Ends every delay, now and to come.
    void end() {
        lock.lock();
        try {
            over = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /// Decides about a request. On the event loop.
    @Nullable Verdict judge(RequestHeader header) {
        return injected.isEmpty() ? null : judge(operation(header.type), header);
    }

    private @Nullable Verdict judge(@Nullable Operation operation, RequestHeader header) {
        if (operation == null) {
            return null;
        }
        for (Injected each : injected) {
            if (each.counter.picks(operation, header.offset, header.length)) {
                return new Verdict(each);
            }
        }
        return null;
    }

    private static @Nullable Operation operation(int command) {
        return switch (command) {
            case NbdProtocol.CMD_READ, NbdProtocol.CMD_CACHE -> Operation.READ;
            case NbdProtocol.CMD_WRITE -> Operation.WRITE;
            case NbdProtocol.CMD_WRITE_ZEROES -> Operation.ZERO;
            case NbdProtocol.CMD_TRIM -> Operation.DISCARD;
            case NbdProtocol.CMD_FLUSH -> Operation.FLUSH;
            case NbdProtocol.CMD_BLOCK_STATUS -> Operation.EXTENTS;
            default -> null;
        };
    }
}
