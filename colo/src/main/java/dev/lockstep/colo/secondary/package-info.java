/// The secondary: the side that follows, and can take over.
///
///     primary's session                     the guest
///          |                                    |
///          | target edge                        | guest edge
///          |                               active buffer    what the guest wrote
///          |                                    |
///     copy-before-write ---- old bytes --> hidden buffer    what the primary overwrote
///          |                                    |
///          +----------- secondary disk ---------+
///
/// [SecondaryStack] is these devices and how they change places: a checkpoint, a failover, a
/// session that begins or ends. It knows nothing of records, peers or commands. [Layers] are the
/// two buffers of one checkpoint; a [BufferSource] says where their bytes lie, and [DurableBuffers]
/// are found again by the next process. After a failover to the checkpoint the [CommitDevice] is
/// what the guest sees while a [Committer] empties the buffers below it.
///
/// Whatever the primary does to the disk, the guest goes on seeing the checkpoint and its own
/// writes. If the old bytes cannot be saved, the primary's write is refused instead.
@NullMarked
package dev.lockstep.colo.secondary;

import org.jspecify.annotations.NullMarked;
