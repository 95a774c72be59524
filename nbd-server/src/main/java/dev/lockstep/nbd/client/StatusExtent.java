package dev.lockstep.nbd.client;

/// What a metadata context says about a stretch of an export.
///
/// @param offset where it begins, in bytes
/// @param length how long it is, in bytes, at least 1
/// @param flags as the context defines them; beyond 32 bits only with extended headers
public record StatusExtent(long offset, long length, long flags) {
    /// The first byte after it.
    public long end() {
        return offset + length;
    }
}
