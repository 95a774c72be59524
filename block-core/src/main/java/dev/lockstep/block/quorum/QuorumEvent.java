package dev.lockstep.block.quorum;

import org.jspecify.annotations.Nullable;

/// Something that an operator should hear about the children of a quorum. A flush concerns the
/// whole device.
public sealed interface QuorumEvent {
    /// The kind of request it happened in.
    enum Operation {
        /// A read.
        READ,
        /// A write, a zero or a discard.
        WRITE,
        /// A flush.
        FLUSH
    }

    /// A child failed a request or was outvoted.
    ///
    /// @param error why the child's request failed; null if it was outvoted
    /// @param node the child
    record ReportBad(
            Operation operation, @Nullable String error, String node, long offset, long length)
            implements QuorumEvent {}

    /// A request found no quorum.
    ///
    /// @param reference the name of the quorum
    record Failure(String reference, long offset, long length) implements QuorumEvent {}
}
