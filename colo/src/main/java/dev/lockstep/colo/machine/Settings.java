package dev.lockstep.colo.machine;

/// What the command line fixes for the life of a process.
///
/// `answerNanos` is how long an unanswered request to the peer may stay so while the peer is alive:
/// slow I/O is not death. `volatileBuffers` says that the secondary's buffers do not survive it.
public record Settings(OnPeerLoss onPeerLoss, long answerNanos, boolean volatileBuffers) {}
