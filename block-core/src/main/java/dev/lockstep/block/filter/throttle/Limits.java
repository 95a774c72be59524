package dev.lockstep.block.filter.throttle;

/// The limits of a group.
///
/// @param requests of all requests, or only of reads, or only of writes
/// @param bytes likewise
/// @param requestBytes a request counts as many as it has multiples of so many bytes, at least as
///     one; 0 if all requests count as one
public record Limits(Split requests, Split bytes, long requestBytes) {
    /// No limits.
    public static final Limits NONE = new Limits(Split.UNLIMITED, Split.UNLIMITED, 0);

    /// A limit on everything, or limits on reads and on writes.
    ///
    /// @param total of reads and writes together
    /// @param reads of reads alone
    /// @param writes of writes, zeroes and discards alone
    public record Split(Rate total, Rate reads, Rate writes) {
        /// No limit.
        public static final Split UNLIMITED =
                new Split(Rate.UNLIMITED, Rate.UNLIMITED, Rate.UNLIMITED);

        /// @throws IllegalArgumentException if there is a total and one of the others
        public Split {
            if (total.isLimited() && (reads.isLimited() || writes.isLimited())) {
                throw new IllegalArgumentException(
                        "a limit on the total excludes those on reads and on writes");
            }
        }
    }

    /// @throws IllegalArgumentException if a size is given that limits nothing
    public Limits {
        if (requestBytes < 0) {
            throw new IllegalArgumentException("the size of a request is negative");
        }
    }
}
