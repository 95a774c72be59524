package dev.lockstep.colo;

import dev.lockstep.block.file.CacheMode;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/// A running side of a pair: what its operator can ask of it. Every call blocks until the thing is
/// done and may come from any thread, several at once. A refusal is a [QmpException] whose sentence
/// says why and what to do.
public interface Side extends AutoCloseable {
    /// What a failover did.
    ///
    /// @param droppedBytes how many bytes of the primary's writes are gone
    /// @param lastHeardMs how long ago the primary was last heard; null if it never was
    record FailoverOutcome(long droppedBytes, @Nullable Long lastHeardMs) {}

    /// A disk as NBD clients see it, as `query-block-exports` lists it.
    record ExportInfo(String id, String nodeName, boolean shuttingDown) {}

    /// A node of the block graph, as `query-named-block-nodes` lists it.
    ///
    /// @param driver QEMU's name for what it is: `raw`, `quorum`, `replication`, `nbd`
    /// @param file what it is made of, for people: a path or a URI
    /// @param backing the name of the node that it lies over; null if it holds everything itself
    record NodeInfo(
            String name,
            String driver,
            String file,
            long sizeBytes,
            CacheMode cache,
            @Nullable String backing) {}

    /// How long the guest was held at a checkpoint, in microseconds.
    ///
    /// @param totalMicros from the guest's gate shut to open again
    /// @param drainMicros until no request was in flight
    /// @param flushMicros both sides flushing what was written since they were flushed beforehand
    record Pause(long totalMicros, long drainMicros, long flushMicros) {
        @Override
        public String toString() {
            return "the guest was held for %d us: %d us draining, %d us flushing"
                    .formatted(totalMicros, drainMicros, flushMicros);
        }
    }

    /// This moment's picture. It never waits for I/O or for the peer.
    Status status();

    /// Makes both sides hold the same point in time, or, on a secondary without a session, drops
    /// its own buffers. Refused on a secondary that is in a session.
    ///
    /// @return the new epoch
    long checkpoint() throws IOException, InterruptedException;

    /// Promotes a secondary. Its guest is not interrupted. Returns once that is durable and served;
    /// the buffers are committed behind it. Refused on a primary, and, unless forced, where it
    /// could lose what it must not.
    FailoverOutcome failover(FailoverTo to, boolean force) throws IOException, InterruptedException;

    /// Pairs a primary that has no peer with a new secondary by a full copy, under its running
    /// guest. Returns once the copy has begun.
    ///
    /// @param force overwrite even a secondary that was promoted or is newer
    void resync(NbdUri secondary, Address secondaryMonitor, boolean force)
            throws IOException, InterruptedException;

    /// The caller states that the secondary is gone: a primary goes on alone, even one that was
    /// told to hold its guest's writes. Refused on a secondary.
    void goAlone() throws IOException, InterruptedException;

    /// The exports that are served now.
    List<ExportInfo> exports();

    /// The nodes of the block graph, from the roots down.
    List<NodeInfo> nodes();

    /// How long this side's guest was held when it last took a checkpoint as the primary. Refused
    /// on a secondary.
    Pause lastPause() throws QmpException;

    /// The guest's export, with the port it got.
    NbdUri guestExport();

    /// Lets [#awaitQuit] return. Returns at once.
    void quit();

    /// Waits until [#quit] is called, or until this side can do nothing more.
    ///
    /// @throws IOException with one sentence in the latter case
    void awaitQuit() throws IOException, InterruptedException;

    /// Stops cleanly: flushes, stores, tells the peer, closes every listener.
    @Override
    void close() throws IOException;
}
