package dev.lockstep.block.qcow2.table;

/// Clusters that were allocated.
///
/// @param range where; their refcounts are 1
/// @param zero whether they are known to read as zeroes
public record Allocated(HostRange range, boolean zero) {}
