package dev.lockstep.colo;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.State;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import java.util.Locale;

/// One side of a pair at one moment, as `colo status --json` prints it.
///
/// @param name the pair's name
/// @param epoch one more with each checkpoint; equal on both sides after it
/// @param generation whose writes these are, in hexadecimal; null before the first join
/// @param inSync whether the two disks hold the same writes, those in flight aside
/// @param holdsWrites whether the guest's writes wait for want of a peer, as `--on-peer-loss stop`
///     has it
/// @param bufferedBytes what the active and the hidden disk hold; 0 on a primary
/// @param droppedBytes what a failover to the checkpoint would drop of the primary's writes: the
///     hidden disk's part of `bufferedBytes`
/// @param buffers `durable` if a restart finds what they hold, else `volatile`; null where there
///     are none
/// @param peer the other side; null if this one has none
/// @param sync the initial copy; null if none runs
/// @param error what is wrong, as `query-xen-replication-status` has it; null if nothing is
/// @param export the URI of the guest's export
/// @param listen the URI that a primary of this side writes to; null where there cannot be one
/// @param monitor where the monitor listens
public record Status(
        String name,
        Role role,
        State state,
        long epoch,
        @Nullable String generation,
        boolean inSync,
        boolean holdsWrites,
        long bufferedBytes,
        long droppedBytes,
        @Nullable String buffers,
        @Nullable Peer peer,
        @Nullable SyncProgress sync,
        @Nullable String error,
        String export,
        @Nullable String listen,
        String monitor) {
    /// The other side.
    ///
    /// @param lastHeardMs how long ago any byte came from it; null if this process never heard it
    public record Peer(String address, boolean connected, @Nullable Long lastHeardMs) {}

    /// How far the initial copy is.
    public record SyncProgress(long copiedBytes, long totalBytes) {}

    /// The role as it is written in JSON.
    public String roleLabel() {
        return role.name().toLowerCase(Locale.ROOT);
    }

    /// The object that goes over the wire.
    public ObjectNode toJson() {
        ObjectNode json = Json.object();
        json.put("name", name)
                .put("role", roleLabel())
                .put("state", state.label())
                .put("epoch", epoch)
                .put("generation", generation)
                .put("inSync", inSync)
                .put("holdsWrites", holdsWrites)
                .put("bufferedBytes", bufferedBytes)
                .put("droppedBytes", droppedBytes)
                .put("buffers", buffers);
        json.set("peer", peer == null ? null : Json.of(peer));
        json.set("sync", sync == null ? null : Json.of(sync));
        return json.put("error", error)
                .put("export", export)
                .put("listen", listen)
                .put("monitor", monitor);
    }
}
