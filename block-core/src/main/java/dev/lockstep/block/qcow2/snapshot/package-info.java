/// Internal snapshots of an open qcow2 image: making one, going back to one, deleting one.
///
/// A snapshot is a copy of the L1 table, and one more reference to each cluster that the table
/// reaches ([dev.lockstep.block.qcow2.snapshot.ClusterTree]). These operations touch everything, so
/// no request is in flight meanwhile, and in version 3 the image is marked as dirty from before the
/// first change to after the last: a crash in between is repaired when the image is next opened.
/// The order of the changes is such that in version 2, which has no such mark, a crash leaves no
/// more than leaks and COPIED flags that are missing, and never a cluster that is in use and free:
///
/// - references are added, and are on stable storage, before anything refers to a cluster once more
///   and before its COPIED flag is taken away;
/// - references are taken away when what referred is gone from stable storage.
@NullMarked
package dev.lockstep.block.qcow2.snapshot;

import org.jspecify.annotations.NullMarked;
