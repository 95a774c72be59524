/// Saving what is about to be overwritten.
///
/// A [dev.lockstep.block.filter.copybeforewrite.CopyBeforeWrite] sits above a disk and in front of
/// its writer. Before a write, zero or discard reaches the disk, every cluster it touches is
/// preserved in a [dev.lockstep.block.overlay.BufferOverlay] whose backing device is that same
/// disk, unless it was before. So the overlay keeps showing the disk as it was when the overlay was
/// fresh, at the price of one copy a cluster. If the copy fails, the write is refused and the disk
/// stays as it was.
///
/// **Why a reader of the overlay never sees bytes from its future.** Call *R* a read through the
/// overlay and *W* a write of the same cluster through this filter.
///
/// 1. W reaches the disk only after it found the cluster's bit set.
/// 2. The bit is set by a thread that holds the cluster exclusively, after the old bytes are in the
///    overlay's store.
/// 3. R holds the cluster shared from before it looks at the bit until its read of the disk is
///    done.
///
/// If R found the bit clear, its hold came before the exclusive one, which was granted only after R
/// had read the disk; and W came after that. If R found it set, it reads the store, which W does
/// not touch. That is also why W takes no lock in the steady state, when the bit is set already: it
/// tests a bit and passes the request down, on the event loop too. And it is why the lock is held
/// for the save alone and not for W: a second write of the cluster waits for the save, not for the
/// first write.
///
/// Over a durable overlay W waits for more: until the old bytes and the map that claims them are on
/// stable storage. Writes that wait share the syncs, outside the lock; then the cluster counts as
/// preserved, and later writes test that instead of the bit. So after a power cut, too, whatever
/// became of W, the overlay shows what was there before it.
///
/// The argument needs R's lookup *inside* its hold, and it needs that nothing else writes to the
/// disk.
///
/// With QEMU's name `copy-before-write` it keeps the old bytes in any device that is as long as the
/// disk, and `snapshot-access` ([dev.lockstep.block.filter.snapshotaccess]) shows them:
///
///     file            the disk
///     target          where old bytes go; what it holds before does not matter
///     on-cbw-error    break-guest-write, or break-snapshot, where a write goes on although its old
///                     bytes are lost and with them the snapshot
///     cbw-timeout     after how many seconds a copy counts as failed; 0, which is no limit
@NullMarked
package dev.lockstep.block.filter.copybeforewrite;

import org.jspecify.annotations.NullMarked;
