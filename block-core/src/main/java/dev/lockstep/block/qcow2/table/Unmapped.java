package dev.lockstep.block.qcow2.table;

/// Clusters that something referred to and does not any more.
///
/// @param why it does not
record Unmapped(HostRange range, Freed why) {}
