package dev.lockstep.colo.machine;

import java.util.Optional;

/// What a side must do now. The actions of a step are carried out in their order.
///
/// A long action has a ticket, runs beside the actor, and ends in an [Event] with that ticket; the
/// others are over before the next action begins. An event with a ticket that nobody waits for any
/// more is ignored.
public sealed interface Action {
    /// Long: make the record durable. Ends in [Event.Stored]. Stores never overtake each other.
    record Store(long ticket, DurableRecord record) implements Action {}

    /// Long: primary. Flush both disks, so that the flush under a shut gate has little to do.
    record Flush(long ticket) implements Action {}

    /// Long: wait until no request of the guest (on a secondary: of the target either) is in
    /// flight, then flush: both disks on a primary, the disk and its buffers on a secondary. The
    /// guest is shut before. Fails if the guest is opened first. On a secondary `next` is the
    /// checkpoint that its fresh buffers are for, if there are to be any: buffers on disk are named
    /// after it, durably, so that a record that is stored afterwards names them.
    record Drain(long ticket, Optional<Identity> next) implements Action {}

    /// Long: secondary. Close the connections of the session, wait for their requests, flush the
    /// disk. From the moment it is begun no request of the session is admitted.
    record Fence(long ticket) implements Action {}

    /// Long: primary. Open the remote child for this session. From its end on every guest's write
    /// goes to both disks.
    record Attach(long ticket, Nonce session) implements Action {}

    /// Long: commit the buffers to the disk, for a failover to the checkpoint. The guest is served
    /// meanwhile, and its writes converge with the commit.
    record Commit(long ticket) implements Action {}

    /// Hold new requests of the guest at its gate.
    record ShutGuest() implements Action {}

    /// Let the guest's requests through again. Harmless if they are.
    record OpenGuest() implements Action {}

    /// Poison the remote child: what it has in flight fails now.
    record FailRemote(String reason) implements Action {}

    /// Ask the secondary, connecting first if need be. Ends in [Event.Replied], [Event.Refused] or
    /// [Event.Unreachable] with this call.
    record Send(long call, Message.Request request) implements Action {}

    /// Answer the primary.
    record Reply(long call, Message.Reply reply) implements Action {}

    /// Answer the primary with a refusal.
    record Refuse(long call, String reason) implements Action {}

    /// Admit the writer of this session, and nobody else, to the target. `saving` says whether old
    /// bytes are kept for the checkpoint: not during a full sync, where there is none.
    record OpenTarget(Nonce session, boolean saving) implements Action {}

    /// Start fresh buffers: what was behind the old ones is gone, the disk is the checkpoint.
    record SwapBuffers() implements Action {}

    /// Serve the disk itself: there are no buffers any more.
    record DropBuffers() implements Action {}

    /// Begin the full copy. Ends in [Event.Copied], or in [Event.RemoteFailed].
    record StartCopy() implements Action {}

    /// Answer an [Order]: done, or refused with the reason.
    record Answer(long request, Optional<String> refusal) implements Action {}

    /// The guest's export is served from now on: the process says `ready`.
    record Ready() implements Action {}

    /// The state changed: to be logged as `from -> to (reason, epoch)` and counted. `alarming` says
    /// that nobody asked for it and that the pair is worse off: an operator has to hear of it.
    record Changed(State from, State to, String reason, long epoch, boolean alarming)
            implements Action {}

    /// Something that an operator must hear of.
    record Warn(String what) implements Action {}

    /// End the process: cleanly, or with the reason why not.
    record Exit(Optional<String> failure) implements Action {}
}
