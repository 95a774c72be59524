package dev.lockstep.colo.machine;

import java.util.Optional;

/// What a primary asks of its secondary over the link, and what it is told.
///
/// Each request is one monitor command of the secondary, `colo-*`. It may arrive late, twice, or
/// never; what makes that harmless is the session or generation that it carries.
public sealed interface Message {
    /// Asked by the primary.
    sealed interface Request extends Message {}

    /// Answered by the secondary. A refusal is no reply: see [Action.Refuse] and [Event.Refused].
    sealed interface Reply extends Message {}

    /// Who are you? (`colo-query-identity`)
    record Query() implements Request {}

    /// Answers [Query]. `yields` says that this side was started with `--force`, and gives up what
    /// it holds.
    record Known(Optional<DurableRecord> record, Nonce incarnation, boolean yields)
            implements Reply {}

    /// Begin this session. (`colo-join`)
    ///
    /// `before` is the primary's record that the decision was made on, `incarnation` the process
    /// that it was made with; `identity` and its epoch are what both sides store now.
    record Join(
            Nonce session,
            Nonce incarnation,
            Optional<DurableRecord> before,
            SyncMode sync,
            boolean force,
            Identity identity)
            implements Request {}

    /// Answers [Join]: the target is open for this session.
    record Joined(Nonce session) implements Reply {}

    /// Make everything written so far the checkpoint `epoch`; end a full sync if one is under way.
    /// (`colo-checkpoint`)
    record Checkpoint(Nonce session, Nonce generation, long epoch) implements Request {}

    /// Answers [Checkpoint].
    record Checkpointed(long epoch) implements Reply {}

    /// I went on without you: this is my history now. (`colo-peer-stale`)
    record PeerStale(Identity identity) implements Request {}

    /// Answers [PeerStale].
    record Noted() implements Reply {}

    /// I stop, and everything is flushed: a last checkpoint. (`colo-leave`)
    record Leave(Nonce session, Nonce generation, long epoch) implements Request {}

    /// Answers [Leave].
    record Left(long epoch) implements Reply {}
}
