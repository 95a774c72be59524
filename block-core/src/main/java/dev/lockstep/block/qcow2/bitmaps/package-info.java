/// The dirty bitmaps that a qcow2 image keeps (sections "Bitmaps extension" and "Bitmaps" of its
/// specification): which parts of the disk were written to since some moment.
///
/// [ImageBitmaps] are those of one open image, [PersistentBitmap] is one of them. Only the
/// directory is read when an image is opened. The bits of a bitmap are read when somebody asks for
/// them; what is written to the disk meanwhile is marked in memory, in a bitmap of its own that is
/// empty at first. A range is marked after it was written: who takes a mark away and then copies
/// the range misses nothing, since either the copy has the new bytes or the mark comes back. What
/// failed is marked too, since any of its bytes may have been written.
///
/// **What is on disk.** A bitmap that records is marked *in use* on disk, durably, before the first
/// write reaches the image. Closing the image puts what was marked into the stored bits, in place,
/// and then takes the mark away. So a crash in between leaves a bitmap that says of itself that it
/// is not to be believed, and nothing has to be written twice. Order:
///
///   1. data clusters of the bitmap, newly allocated ones too; their reference counts; sync
///   2. the bitmap tables, which now refer to them; sync
///   3. the flags in the directory; sync
///
/// **Edits** are in memory too. What was edited is stored anew as a whole: its clusters and its
/// table where nothing was; then a new directory; sync; the header, which tells of that directory;
/// sync; and only then is what was replaced given up. So after a crash there are the bitmaps before
/// the edits, or those after them. A disk gets another length between two of those directories, of
/// which the first says of all bitmaps that they are in use.
///
/// A bitmap that does not record, or says that it is in use, is left as it is: of the latter all
/// that can be done is to remove it. Who changes an image and knows nothing of bitmaps clears the
/// autoclear bit, and then there are none that can be believed
/// ([dev.lockstep.block.qcow2.layout.Header#bitmaps]).
///
/// **Memory.** Bits that are set take what [dev.lockstep.block.bitmap.ClusterBitmap] says, at most
/// 512 MiB a bitmap as the format has it in QEMU. All bitmaps that record may together grow to
/// [ImageBitmaps#RECORDING_BYTES_MAX]; an image with more is not opened for writing.
@NullMarked
package dev.lockstep.block.qcow2.bitmaps;

import org.jspecify.annotations.NullMarked;
