package dev.lockstep.block;

import java.util.EnumSet;
import java.util.Set;

/// How a write or a zero is to be done.
public enum WriteFlag {
    /// The request is durable when it returns (force unit access).
    FUA,

    /// A zero may deallocate its range; without it, the range stays (or becomes) allocated where
    /// the device can do that.
    MAY_UNMAP,

    /// A zero must be faster than writing zeroes, or fail with `UNSUPPORTED` having changed
    /// nothing.
    FAST;

    /// No flag.
    public static final Set<WriteFlag> NONE = Set.of();

    /// Just [#FUA].
    public static final Set<WriteFlag> DURABLE = Set.of(FUA);

    /// Just [#MAY_UNMAP].
    public static final Set<WriteFlag> UNMAP = Set.of(MAY_UNMAP);

    /// Returns `flags` without `flag`.
    public static Set<WriteFlag> without(Set<WriteFlag> flags, WriteFlag flag) {
        if (!flags.contains(flag)) {
            return flags;
        }
        Set<WriteFlag> rest = EnumSet.copyOf(flags);
        rest.remove(flag);
        return rest;
    }
}
