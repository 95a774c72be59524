/// The metadata of an open qcow2 image: what each guest cluster maps to, how often each host
/// cluster is referenced, and bringing changes of both to stable storage in an order that a crash
/// cannot turn into damage. Nothing here reads or writes guest data.
///
/// [Tables] puts the parts together:
///
/// - [Mappings] is the L1 table, all of it in memory, and the L2 tables in slices, as many as fit
///   the cache. A lookup takes no lock where the slice is there. Changes are made in memory.
/// - [Refcounts] finds free host clusters and counts references, in memory as well.
/// - [Commit] writes what both have changed, with a sync between what depends on each other, for
/// all
///   who wait for it at once.
/// - [Epochs] tells when everybody who may still use a host cluster that was unmapped has ended.
///
/// **Order on the medium.** Refcount blocks; sync; the refcount table, if a block is new; sync
/// (this covers the guest's data too, which is written before its mapping is changed in memory); L2
/// slices; sync; L1 entries, if a table is new; sync; and only then are references taken away in
/// memory from what was unmapped, to be written by the next commit. So after a crash at any point
/// each cluster that is reachable is counted, and holds what it held when it became reachable; at
/// worst clusters are counted that nobody reaches.
///
/// **Locks.** The lock of the mappings and the lock of the refcounts are never held together. The
/// first is never held across I/O; the second only while a refcount block is read or the file is
/// made longer.
@NullMarked
package dev.lockstep.block.qcow2.table;

import org.jspecify.annotations.NullMarked;
