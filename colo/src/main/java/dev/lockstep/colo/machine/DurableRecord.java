package dev.lockstep.colo.machine;

/// What one side stores: everything that a restart needs, and nothing more.
///
/// `open` says that requests may have been in flight: it is stored before the first write of a run
/// and cleared only by a clean stop, after both disks were flushed. `volatileBuffers` says that the
/// secondary's buffers lived in memory, so that a restart has lost the checkpoint with them.
public record DurableRecord(
        Standing standing, Identity identity, boolean open, boolean volatileBuffers) {

    /// The same record with another standing.
    public DurableRecord as(Standing other) {
        return new DurableRecord(other, identity, open, volatileBuffers);
    }

    /// The same record of another history or checkpoint.
    public DurableRecord of(Identity other) {
        return new DurableRecord(standing, other, open, volatileBuffers);
    }

    /// The same record at another checkpoint.
    public DurableRecord at(long epoch) {
        return of(identity.at(epoch));
    }

    /// The same record, while requests may be in flight.
    public DurableRecord opened() {
        return new DurableRecord(standing, identity, true, volatileBuffers);
    }

    /// The same record, after a clean stop.
    public DurableRecord closed() {
        return new DurableRecord(standing, identity, false, volatileBuffers);
    }

    /// The role in which this was stored.
    public Role role() {
        return standing.role();
    }

    /// The checkpoint that this side last took part in.
    public long epoch() {
        return identity.epoch();
    }
}
