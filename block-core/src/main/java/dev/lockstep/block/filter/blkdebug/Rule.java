package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.file.HostError;
import dev.lockstep.block.graph.Step;

import java.util.Set;

/// What happens at a step.
sealed interface Rule {
    /// A state that every state is.
    int ANY_STATE = 0;

    /// A sector that every request touches.
    long ANY_SECTOR = -1;

    /// A kind of request, by QEMU's names.
    enum IoType {
        READ,
        WRITE,
        WRITE_ZEROES,
        DISCARD,
        FLUSH,
        BLOCK_STATUS
    }

    /// When it happens.
    Step event();

    /// In which state alone, or [#ANY_STATE].
    int state();

    /// Requests fail from now on.
    ///
    /// @param types which ones
    /// @param sector those that touch this one, or [#ANY_SECTOR]; a flush touches none
    /// @param error how; the number 0 lets them pass, and hides the rules after it
    /// @param once the first alone
    record InjectError(
            Step event, int state, Set<IoType> types, long sector, HostError error, boolean once)
            implements Rule {
        private static final int SECTOR_BITS = 9;

        boolean matches(IoType type, long offset, long length) {
            boolean touches =
                    sector == ANY_SECTOR
                            || (sector << SECTOR_BITS >= offset
                                    && sector << SECTOR_BITS < offset + length);
            return touches && types.contains(type);
        }
    }

    /// The state changes, once all rules for the step have been looked at.
    record SetState(Step event, int state, int newState) implements Rule {}
}
