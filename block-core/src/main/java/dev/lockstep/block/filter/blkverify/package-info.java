/// A disk beside a copy of it that is known to be right, with QEMU's name `blkverify`.
///
/// Everything that changes the disk is done to `test`, an image of any format, and to `raw`, whose
/// bytes nobody interprets. Every read is done by both and compared: where they differ, the request
/// fails with the offset of the first byte that does, and the log has it as an error. (QEMU ends
/// the program there.)
///
/// Overlapping requests go one after the other, since the two need not carry them out in the same
/// order. Discards are not passed on: what they leave behind is nobody's promise, and would differ.
///
///     test    what is looked at; its size is the size of the whole
///     raw     what it is compared with, at least as long
///
/// The file name `blkverify:RAW:IMAGE` means the same; the format of IMAGE is found by looking.
@NullMarked
package dev.lockstep.block.filter.blkverify;

import org.jspecify.annotations.NullMarked;
