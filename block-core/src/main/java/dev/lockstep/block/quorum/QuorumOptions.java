package dev.lockstep.block.quorum;

/// How a quorum decides.
///
/// @param threshold how many children must agree or succeed; at least 1, at most all
/// @param readPattern how it reads
/// @param rewriteCorrupted whether a child that was outvoted in a read is overwritten with what was
///     decided
public record QuorumOptions(int threshold, ReadPattern readPattern, boolean rewriteCorrupted) {
    /// How a quorum reads.
    public enum ReadPattern {
        /// From all children, by vote.
        QUORUM,
        /// From the first child that does not fail.
        FIFO
    }

    /// Reads by vote, and repairs nothing.
    public static QuorumOptions voting(int threshold) {
        return new QuorumOptions(threshold, ReadPattern.QUORUM, false);
    }

    /// Reads from the first child that can be read.
    public static QuorumOptions fifo(int threshold) {
        return new QuorumOptions(threshold, ReadPattern.FIFO, false);
    }
}
