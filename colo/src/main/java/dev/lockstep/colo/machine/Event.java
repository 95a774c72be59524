package dev.lockstep.colo.machine;

/// Something happened. Events reach a node one at a time.
public sealed interface Event {
    /// The side's own clock, every [Timing#TICK_NANOS].
    record Clock() implements Event {}

    /// A byte of the peer's arrived: a heartbeat of this session, or its answer.
    record Heard(Nonce session) implements Event {}

    /// The link's connection broke.
    record LinkLost(String reason) implements Event {}

    /// The primary asks; the answer is owed to `call`.
    record Asked(long call, Message.Request request) implements Event {}

    /// The secondary answered the call of an [Action.Send].
    record Replied(long call, Message.Reply reply) implements Event {}

    /// The secondary refused the call of an [Action.Send].
    record Refused(long call, String reason) implements Event {}

    /// The call of an [Action.Send] could not be delivered, or its answer was lost.
    record Unreachable(long call, String reason) implements Event {}

    /// The record of an [Action.Store] is on stable storage. Stores finish in order.
    record Stored(long ticket, DurableRecord record) implements Event {}

    /// A long action is done.
    record Done(long ticket) implements Event {}

    /// A long action failed, and whose fault it was.
    record Failed(long ticket, Culprit culprit, String reason) implements Event {}

    /// The remote child failed a request: link, error reply, full buffer, deadline. On a secondary:
    /// its disk or its buffers failed the primary.
    record RemoteFailed(String reason) implements Event {}

    /// The full copy reached the end of the disk.
    record Copied() implements Event {}

    /// The secondary's guest wrote for the first time since the checkpoint. Posted before that
    /// write is acknowledged, and at a start that finds such writes in durable buffers.
    record GuestWrote() implements Event {}

    /// The operator, or a manager, asks; the answer is owed to `request`.
    record Asks(long request, Order order) implements Event {}

    /// Whose fault a failure was.
    enum Culprit {
        /// The local disk or buffers.
        LOCAL,
        /// The remote child.
        REMOTE,
        /// The state file.
        STATE_FILE
    }
}
