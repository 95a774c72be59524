/// The primary side of a replicated pair.
///
/// A [dev.lockstep.colo.primary.PairDevice] is what the guest of a primary writes to: one local
/// disk and, while there is one, a peer on which every write is done too. It never claims more than
/// is true: a write is acknowledged once both have done it, or once the local disk has done it and
/// the loss of the peer is stored for good.
///
///     guest's gate
///        |
///     PairDevice        reads: local; writes, zeroes, trims and flushes: both
///        |        \
///     local gate   peer's gate ---- NBD ----> the secondary's target
///
/// The peer comes and goes while the guest runs. A lost peer's gate is failed; the requests that it
/// takes down wait, outside its count, for a decision that somebody else makes
/// ([dev.lockstep.colo.machine.Acknowledgement]). A new peer is attached, after which every write
/// reaches it, and [dev.lockstep.colo.primary.InitialSync] copies what it lacks behind the running
/// guest.
@NullMarked
package dev.lockstep.colo.primary;

import org.jspecify.annotations.NullMarked;
