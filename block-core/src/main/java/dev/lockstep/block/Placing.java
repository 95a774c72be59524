package dev.lockstep.block;

/// A device that gives data its place when it is first written, so that the order of writes is the
/// order on the medium; and that can be told to do so beforehand. Whoever writes many things at
/// once and wants them in order places them in order, and then writes them as it comes.
///
/// A [dev.lockstep.block.graph.Gate] is one too, whatever is behind it.
public interface Placing {
    /// Whether the order of writes matters here at all.
    boolean placesOnWrite();

    /// Gives a range its place. What it reads as does not change.
    ///
    /// @return false if that is not possible without writing data: then the write that comes
    /// decides
    ///     where it lies
    boolean place(long offset, long length) throws BlockException;
}
