package dev.lockstep.block.qcow2.table;

/// Some clusters of the image file, one after the other.
///
/// @param cluster the number of the first
/// @param count how many, at least 1
public record HostRange(long cluster, long count) {
    long end() {
        return cluster + count;
    }
}
