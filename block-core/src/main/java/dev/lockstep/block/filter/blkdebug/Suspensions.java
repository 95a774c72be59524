package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.graph.Step;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// The breakpoints of a device, and what has stopped at one.
final class Suspensions implements Breakpoints {
    /// Guards: everything below. Condition: somebody stopped, or may go on.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition changed = lock.newCondition();
    private final List<Armed> armed = new ArrayList<>();
    private final List<Stopped> stopped = new ArrayList<>();

    /// Most devices never have one.
    private volatile boolean any;

    private record Armed(Step step, String tag, Consumer<String> listener) {}

    /// Compared by identity.
    private static final class Stopped {
        private final String tag;

        Stopped(String tag) {
            this.tag = tag;
        }
    }

    @Override
    public void breakAt(Step step, String tag, Consumer<String> listener) {
        lock.lock();
        try {
            armed.add(new Armed(step, tag, listener));
            any = true;
        } finally {
            lock.unlock();
        }
    }

    /// Stops a request that has come to a breakpoint.
    void before(Step step) {
        if (!any) {
            return;
        }
        lock.lock();
        try {
            for (Armed each : armed) {
                if (each.step() == step) {
                    armed.remove(each);
                    stop(each);
                    return;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private void stop(Armed at) {
        Stopped request = new Stopped(at.tag());
        stopped.add(request);
        at.listener().accept("blkdebug: Suspended request '%s'".formatted(at.tag()));
        changed.signalAll();
        while (stopped.contains(request)) {
            changed.awaitUninterruptibly();
        }
        at.listener().accept("blkdebug: Resuming request '%s'".formatted(at.tag()));
    }

    @Override
    public boolean remove(String tag) {
        lock.lock();
        try {
            boolean found = armed.removeIf(each -> each.tag().equals(tag));
            found |= stopped.removeIf(each -> each.tag.equals(tag));
            changed.signalAll();
            return found;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean resume(String tag) {
        lock.lock();
        try {
            for (Stopped each : stopped) {
                if (each.tag.equals(tag)) {
                    stopped.remove(each);
                    changed.signalAll();
                    return true;
                }
            }
            return false;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void await(String tag) throws InterruptedException {
        lock.lock();
        try {
            while (stopped.stream().noneMatch(each -> each.tag.equals(tag))) {
                changed.await();
            }
        } finally {
            lock.unlock();
        }
    }
}
