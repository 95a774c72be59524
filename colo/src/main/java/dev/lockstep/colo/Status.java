package dev.lockstep.colo;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import java.util.Locale;

/// One side of a pair at one moment, as `colo status --json` prints it.
///
/// @param name the pair's name
/// @param epoch one more with each checkpoint; equal on both sides after it
/// @param generation whose writes these are, in hexadecimal; null before the first join
/// @param inSync whether the two disks hold the same writes, those in flight aside
/// @param bufferedBytes what the active and the hidden disk hold; 0 on a primary
/// @param droppedBytes what a failover to the checkpoint would drop of the primary's writes: the
///     hidden disk's part of `bufferedBytes`
/// @param peer the other side; null if this one has none
/// @param sync the initial copy; null if none runs
/// @param error what is wrong, as `query-xen-replication-status` has it; null if nothing is
/// @param export the URI of the guest's export
public record Status(
        String name,
        Role role,
        State state,
        long epoch,
        @Nullable String generation,
        boolean inSync,
        long bufferedBytes,
        long droppedBytes,
        @Nullable Peer peer,
        @Nullable SyncProgress sync,
        @Nullable String error,
        String export) {
    /// Which part a side plays.
    public enum Role {
        /// Its guest's writes are what the pair replicates; also after a failover.
        PRIMARY,
        /// It follows, ready to take over.
        SECONDARY;

        /// The name in JSON.
        public String wireName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /// What a side is doing.
    public enum State {
        /// A secondary that no primary has joined yet: it has nothing that could be promoted.
        WAITING("no primary has joined yet"),
        /// The initial copy is under way.
        SYNCING("the primary's disk is being copied"),
        /// In a session; every acknowledged write is on both sides.
        RUNNING("the pair is in step"),
        /// Without a peer: a primary that goes on alone or holds its guest's writes, or a secondary
        /// that lost contact and was not told that it is stale.
        DEGRADED("there is no peer"),
        /// Promoted and serving, while the buffers are committed to the disk.
        FAILING_OVER("the buffers are being committed to the disk"),
        /// A secondary that knows that its primary went on without it.
        STALE("the primary went on without this copy"),
        /// A secondary whose initial copy broke: a mixture of two disks.
        INCONSISTENT("the initial copy was interrupted"),
        /// The disk or the state file cannot be used.
        FAILED("the disk or the state file cannot be used");

        private final String sentence;

        State(String sentence) {
            this.sentence = sentence;
        }

        /// The name in JSON.
        public String wireName() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }

        /// What it means, for people.
        public String sentence() {
            return sentence;
        }
    }

    /// The other side.
    ///
    /// @param lastHeardMs how long ago any byte came from it
    public record Peer(String address, boolean connected, long lastHeardMs) {}

    /// How far the initial copy is.
    public record SyncProgress(long copiedBytes, long totalBytes) {}

    /// The object that goes over the wire.
    public ObjectNode toJson() {
        ObjectNode json = Json.object();
        json.put("name", name)
                .put("role", role.wireName())
                .put("state", state.wireName())
                .put("epoch", epoch)
                .put("generation", generation)
                .put("inSync", inSync)
                .put("bufferedBytes", bufferedBytes)
                .put("droppedBytes", droppedBytes);
        json.set("peer", peer == null ? null : Json.of(peer));
        json.set("sync", sync == null ? null : Json.of(sync));
        return json.put("error", error).put("export", export);
    }
}
