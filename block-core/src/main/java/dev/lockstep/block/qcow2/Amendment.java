package dev.lockstep.block.qcow2;

import org.jspecify.annotations.Nullable;

/// What is to become of an image that exists; null is as it was.
///
/// @param version 2 or 3
/// @param lazyRefcounts whether refcounts are kept lazily from now on
/// @param dataFile by what name the external data file is recorded
/// @param rawDataFile whether the external data file stays a raw image; it cannot become one
public record Amendment(
        @Nullable Integer version,
        @Nullable Boolean lazyRefcounts,
        @Nullable String dataFile,
        @Nullable Boolean rawDataFile) {
    /// Another version and nothing else.
    public static Amendment ofVersion(int version) {
        return new Amendment(version, null, null, null);
    }
}
