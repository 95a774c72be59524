package dev.lockstep.colo.machine;

/// What a disk is, as far as its own side knows: the heart of a [DurableRecord].
public enum Standing {
    /// A primary whose peer has every write that it acknowledged.
    PAIRED(Role.PRIMARY),
    /// A paired primary that asked for a checkpoint and has not stored the answer.
    CHECKPOINTING(Role.PRIMARY),
    /// A primary whose peer lacks something: lost, being copied to, or never joined.
    ALONE(Role.PRIMARY),
    /// A secondary that is becoming the primary and is still committing its buffers to its disk.
    FAILING_OVER(Role.PRIMARY),
    /// A former secondary that serves on alone after a failover.
    PROMOTED(Role.PRIMARY),
    /// A secondary that has, or had when it was last in a session, what its primary acknowledged.
    FOLLOWING(Role.SECONDARY),
    /// A secondary that was told that its primary went on without it.
    STALE(Role.SECONDARY),
    /// A secondary whose disk is half a copy: a full sync began and has not ended.
    INCONSISTENT(Role.SECONDARY);

    private final Role role;

    Standing(Role role) {
        this.role = role;
    }

    /// The role in which a side stores this.
    public Role role() {
        return role;
    }
}
