package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.colo.machine.Identity;

/// Where the two buffers of a checkpoint lie, and what becomes of them.
///
/// Buffers are made empty, named after the checkpoint that they are for, used, and released. At
/// most two pairs of them are in use at once: those of a checkpoint and those for the next.
interface BufferSource extends AutoCloseable {
    /// Empty buffers over a disk, for no checkpoint yet.
    Layers fresh(Gate disk, ByteBudget budget) throws BlockException;

    /// Says which checkpoint empty buffers are for. On return that is as durable as they are.
    void name(Layers fresh, Identity checkpoint) throws BlockException;

    /// Takes buffers back, whatever they hold. Nothing is in flight.
    void release(Layers old);

    /// Whether buffers outlive their process and a power cut.
    boolean isDurable();

    /// Closes what is left, which a later process may find if it is durable.
    @Override
    void close();

    /// Buffers that end with their process.
    static BufferSource of(BufferStore stores) {
        return new BufferSource() {
            @Override
            public Layers fresh(Gate disk, ByteBudget budget) throws BlockException {
                return Layers.create(disk, stores, budget);
            }

            @Override
            public void name(Layers fresh, Identity checkpoint) {}

            @Override
            public void release(Layers old) {
                old.close();
            }

            @Override
            public boolean isDurable() {
                return false;
            }

            @Override
            public void close() {}
        };
    }
}
