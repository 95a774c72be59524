/// qcow2 images, versions 2 and 3, as block devices. (qcow2.txt)
///
/// [Qcow2Device] executes requests: it asks what guest bytes map to
/// ([dev.lockstep.block.qcow2.table.Mappings]) and reads or writes there, without holding any lock
/// of the metadata meanwhile. What can be written in place is; for everything else a
/// [ClusterWriter] allocates, copies what the request does not cover, and changes the mapping when
/// the data has been written.
///
/// **Locks.** Whoever changes the mapping of guest clusters holds them exclusively in a
/// [dev.lockstep.block.RangeLock] from looking at the old mapping to setting the new one. Reads,
/// and writes in place, hold nothing: they are counted, so that a host cluster is not used for
/// anything else while one of them may still use it ([dev.lockstep.block.qcow2.table.Epochs]).
///
/// **Compressed clusters** are compressed without any lock, then packed by a [CompressedWriter] one
/// behind the other: each host cluster that their sectors touch counts them once, and is free when
/// the last is gone. Written to, one becomes an ordinary cluster.
///
/// **External data files.** Clusters lie where the guest sees them, and nothing is counted there.
/// In a raw one, zeroes and discards go to the file and leave the mappings alone, so that the two
/// views of it never differ.
///
/// Below it are `layout`, the bytes of an image; `table`, its metadata while it is open; `codec`,
/// compressed clusters; `bitmaps`, the dirty bitmaps inside it; `create` makes images; `check`
/// examines and repairs them, and shares nothing with the engine but `layout`.
@NullMarked
package dev.lockstep.block.qcow2;

import org.jspecify.annotations.NullMarked;
