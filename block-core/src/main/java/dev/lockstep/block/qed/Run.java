package dev.lockstep.block.qed;

/// What a stretch of the guest's disk is, as far as it is alike and lies in one piece.
///
/// @param host where it lies in the file, if it is data
/// @param length at least 1
record Run(Kind kind, long host, long length) {
    /// What the tables say.
    enum Kind {
        /// It lies in the file.
        DATA,
        /// It reads as zeroes.
        ZERO,
        /// What is below the image is read.
        UNALLOCATED
    }
}
