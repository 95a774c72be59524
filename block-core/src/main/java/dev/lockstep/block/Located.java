package dev.lockstep.block;

/// A device whose bytes lie in a child as they are, so that it can tell where: an image in its
/// file.
public interface Located {
    /// Where a stretch lies.
    ///
    /// @param length how much of it is alike and lies in one piece, at least 1
    /// @param position where in the child, or -1 if its bytes lie nowhere as they are, because they
    ///     are compressed or not there
    /// @param child the name of the edge to the child: `file`, `data-file`
    record Place(long length, long position, String child) {}

    /// Tells where `[offset, offset + length)` begins to lie.
    ///
    /// @throws BlockException if that cannot be found out
    Place locate(long offset, long length) throws BlockException;
}
