package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;

import java.util.List;

/// A request that was sent and will be answered: do something else meanwhile, then [#await] it.
///
/// It fails only in [#await], even if it could not be sent at all. Its buffer belongs to it until
/// that has returned or thrown.
public sealed interface Pending extends dev.lockstep.block.Pending permits Request, Pending.All {
    /// Returns once the server has done it. May be called by any thread, again, and by one at a
    /// time.
    ///
    /// @throws BlockException if it failed, as the blocking method would
    @Override
    void await() throws BlockException;

    /// Whether [#await] would return or throw at once.
    boolean isSettled();

    /// Several requests that succeed only together.
    ///
    /// @param parts in any order
    record All(List<Pending> parts) implements Pending {
        /// Takes a copy.
        public All {
            parts = List.copyOf(parts);
        }

        /// Waits for all of them, even after a failure, since each owns a part of the buffer; then
        /// throws the first failure.
        @Override
        public void await() throws BlockException {
            BlockException failure = null;
            for (Pending part : parts) {
                try {
                    part.await();
                } catch (BlockException e) {
                    failure = failure == null ? e : failure;
                }
            }
            if (failure != null) {
                throw failure;
            }
        }

        @Override
        public boolean isSettled() {
            return parts.stream().allMatch(Pending::isSettled);
        }
    }
}
