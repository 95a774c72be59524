package dev.lockstep.block.qcow2.codec;

import dev.lockstep.block.BlockException;

import java.util.Queue;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.function.Consumer;
import java.util.function.Supplier;

/// States that are costly to make and used by one thread at a time.
final class Pool<S> {
    /// As many as can be computing at once.
    static final int CORES = Runtime.getRuntime().availableProcessors();

    private final Queue<S> idle;
    private final Supplier<S> make;
    private final Consumer<S> drop;

    /// What is done with a state.
    @FunctionalInterface
    interface Use<S, T> {
        /// Does it. The state may be left as it happens to be.
        T with(S state) throws BlockException;
    }

    /// A pool that keeps so many states while they are idle.
    Pool(int idleMax, Supplier<S> make, Consumer<S> drop) {
        idle = new ArrayBlockingQueue<>(idleMax);
        this.make = make;
        this.drop = drop;
    }

    <T> T use(Use<S, T> use) throws BlockException {
        S state = take();
        try {
            return use.with(state);
        } finally {
            giveBack(state);
        }
    }

    /// One that nobody else uses until it is given back.
    S take() {
        S found = idle.poll();
        return found == null ? make.get() : found;
    }

    void giveBack(S state) {
        if (!idle.offer(state)) {
            drop.accept(state);
        }
    }
}
