package dev.lockstep.block.qcow2.table;

/// What a stretch of guest bytes maps to, alike throughout.
public sealed interface Mapping {
    /// How many bytes it is about, at least 1.
    long length();

    /// This image does not have it: the backing image does, or nobody.
    record Unallocated(long length) implements Mapping {}

    /// It reads as zeroes.
    ///
    /// @param allocated whether space of its own is kept for it
    /// @param host where in the data file space is kept, or -1
    record Zero(long length, boolean allocated, long host) implements Mapping {}

    /// It lies in the file as it is.
    ///
    /// @param host where in the data file
    /// @param writable whether it may be written in place
    record Data(long length, long host, boolean writable) implements Mapping {}

    /// It is part of one compressed cluster.
    ///
    /// @param host where the compressed bytes begin
    /// @param hostBytes how many bytes they may be
    record Compressed(long length, long host, int hostBytes) implements Mapping {}
}
