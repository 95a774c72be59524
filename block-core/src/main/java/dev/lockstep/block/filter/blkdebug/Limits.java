package dev.lockstep.block.filter.blkdebug;

/// What requests may be like, in bytes; 0 for no limit.
///
/// @param align requests are multiples of it, a power of two or 0
/// @param transferMax the longest read or write
/// @param zeroUnit zeroes are multiples of it
/// @param zeroMax the longest zero
/// @param discardUnit discards are multiples of it, but for their ends
/// @param discardMax the longest discard
record Limits(
        int align, int transferMax, int zeroUnit, int zeroMax, int discardUnit, int discardMax) {
    /// How much of what is left one request may do.
    static long piece(long left, int most) {
        return most == 0 ? left : Math.min(left, most);
    }
}
