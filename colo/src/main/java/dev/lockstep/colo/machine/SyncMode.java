package dev.lockstep.colo.machine;

/// What the operator said about the two disks when joining them.
public enum SyncMode {
    /// Nothing: go on only if the stored records show that no copy is needed.
    UNSPECIFIED,
    /// Both disks hold the same bytes: the operator's word for it.
    NONE,
    /// Copy the primary's disk over the secondary's.
    FULL
}
