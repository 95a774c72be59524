package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

/// Where an overlay keeps the clusters that it holds, and which those are.
sealed interface ClusterStore permits VolatileStore, DurableStore {
    /// The length of the disk.
    long size();

    /// How much is held or not held at once.
    int clusterBytes();

    /// Where held clusters lie, each where it lies on the disk; at least as long as that.
    Gate data();

    /// The clusters that are held.
    ClusterBitmap held();

    /// Those of them that are held for as long as this store lasts: a volatile one until its
    /// process ends, and a durable one through a power cut. They may be fewer than is known.
    ClusterBitmap kept();

    /// Holds clusters, which are in [#data] as a whole. Returns how many of them it did not hold.
    long hold(long from, long to);

    /// Holds clusters no longer. What is to show there is below by now. Returns how many of them it
    /// held.
    long drop(long from, long to);

    /// Makes durable what was written, held and dropped before, if this store can.
    ///
    /// @param backing what shows where nothing is held, or null if that is zeroes
    void sync(@Nullable Gate backing) throws BlockException;

    /// Holds nothing any more, at once and durably if this store can.
    void empty() throws BlockException;

    /// Records another image below, durably.
    ///
    /// @param format its format, or empty if that is to be guessed
    void nameBacking(String file, String format) throws BlockException;

    /// Whether nothing may be written.
    default boolean readOnly() {
        return data().capabilities().readOnly();
    }

    /// Releases what belongs to the store alone.
    void close() throws BlockException;
}
