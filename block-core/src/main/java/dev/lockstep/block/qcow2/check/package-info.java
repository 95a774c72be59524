/// Checking qcow2 images, and repairing them.
///
/// [dev.lockstep.block.qcow2.check.Qcow2Checker] shares [dev.lockstep.block.qcow2.layout] with the
/// engine and nothing else. It walks everything that refers to clusters (header, L1 tables of the
/// disk and of snapshots, L2 tables, compressed clusters, the snapshot table, bitmaps, refcount
/// table and blocks), counts the references to each cluster of the file, and compares:
///
/// - more references than the refcount says is a **corruption**: the cluster may be given away, or
///   overwritten, while somebody needs it;
/// - fewer is a **leak**: space that nobody can use, and no harm;
/// - entries that cannot be (reserved bits, offsets that are not aligned or beyond the end of the
///   file), and entries of the active tables whose COPIED flag contradicts the refcount, are
///   corruptions too.
///
/// **Cost.** Each table is read once however often it is referred to, also by hostile images, so
/// the time is at most that of reading the file's allocated part a few times; a sparse disk costs
/// what its tables cost. Memory: for each run of 4096 clusters with a reference or a refcount 4 KiB
/// each, 32 KiB if there are counts above 255, plus 8 bytes for each L1 entry in use; so some 2
/// bytes a cluster of the file, 32 MiB for 1 TiB with clusters of 64 KiB. Above half of the heap
/// the check gives up with `NO_MEMORY`.
///
/// **Repairing** goes through phases; each reads the image anew, and each but the last ends with a
/// sync. A crash between or within them leaves an image that is no worse than before:
///
/// 1. entries that cannot be are mended, or dropped where they point to nothing that could be data
///    (their part of the disk then reads from the backing file or as zeroes); bitmaps that are
///    damaged are dropped;
/// 2. refcounts are raised in place, or, if the refcount table or a block is damaged or missing, a
///    complete new structure is written to free clusters, synced, and then taken into use with one
///    write of the header;
/// 3. COPIED flags are put right;
/// 4. refcounts are lowered;
/// 5. if the image is sound now, the header's dirty and corrupt bits are cleared.
///
/// Repairing leaks alone is phase 4, and 3 and 5 if there is no corruption.
@NullMarked
package dev.lockstep.block.qcow2.check;

import org.jspecify.annotations.NullMarked;
