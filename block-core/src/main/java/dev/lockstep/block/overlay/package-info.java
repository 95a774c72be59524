/// Buffers on top of a disk: copy-on-write, kept only as long as they are useful.
///
/// A [dev.lockstep.block.overlay.BufferOverlay] holds clusters in a store of its own (a sparse file
/// or memory) and is transparent elsewhere: what it does not hold is read from its backing device,
/// which it never writes to. Replication stacks two of them on the secondary's disk: the *hidden*
/// buffer holds old bytes that the primary has since overwritten
/// ([dev.lockstep.block.filter.copybeforewrite] puts them there), and the *active* buffer above it
/// holds what the secondary's own guest wrote. A checkpoint drops both in one step by putting fresh
/// ones in their place, whatever they hold.
///
/// **The map is a bitmap in memory**; it has a bit for every cluster that the store holds. A bit is
/// set only by a thread that holds the cluster exclusively, and only after the whole cluster is in
/// the store. Dropping clears it and touches nothing else; the bytes stay in the store unseen until
/// it is closed or trimmed, so that dropping cannot fail and is cheap enough for a guest's write
/// path.
///
/// **Volatile or durable.** A *volatile* store is gone with its process, and its map is that bitmap
/// alone. A [dev.lockstep.block.overlay.DurableStore] is a sparse data file and a map file
/// (`docs/overlay-format.md`); the overlay above either is the same. It is also an image format by
/// itself, for disks whose own format has no copy-on-write. Its rules:
///
/// - The bits in memory run ahead of those in the map file. A sync writes the sectors of the map
///   that changed: it takes a copy of them, makes the data durable, writes the copy, and makes that
///   durable. So a sector never claims a cluster whose data a power cut could take away.
/// - A sector that no longer claims a dropped cluster is written only after the backing device is
///   flushed, for that is where the guest's bytes are by then.
/// - Flushes that wait share one sync; so do those who preserve.
/// - A sector carries the generation of the map, so that one write of the header voids all of them:
///   however much is held, an overlay is emptied at once.
///
/// **Locks.** An overlay has one [dev.lockstep.block.RangeLock], and it is about clusters that are
/// not held:
///
/// - A read that finds every cluster held needs no lock. Any other holds its range shared *from
///   before its lookup to the end of its read of the backing device*.
/// - A write to clusters that are all held needs no lock. Any other holds its clusters exclusively
///   from the lookup, while it fills the parts of clusters that it does not cover from the backing
///   device and stores its own bytes, until the bits are set. Without it, two writers of one
///   cluster would each fill over what the other wrote.
/// - Preserving copies clusters up from the backing device under the same exclusive hold.
///
/// An upper overlay reads its backing overlay while it holds a range of its own lock, and never the
/// other way round: locks are taken from the top of the stack to the bottom.
///
/// **Room.** What an overlay holds is charged to a [dev.lockstep.block.overlay.ByteBudget] before
/// it is stored. A request that does not fit fails with `NO_SPACE` and has changed nothing.
@NullMarked
package dev.lockstep.block.overlay;

import org.jspecify.annotations.NullMarked;
