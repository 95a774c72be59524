/// Which parts of a disk.
///
/// A [dev.lockstep.block.bitmap.ClusterBitmap] has a bit for every cluster of a disk and may be
/// read and changed by many threads at once. It is sparse: bits that were never set cost nothing,
/// so that the map of a large disk of which little is marked is small.
@NullMarked
package dev.lockstep.block.bitmap;

import org.jspecify.annotations.NullMarked;
