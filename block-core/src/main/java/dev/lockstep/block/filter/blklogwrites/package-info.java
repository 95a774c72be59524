/// A log of everything that is written to a disk, in the order in which it may be relied on, with
/// QEMU's name `blklogwrites` and its options. What a power cut would have left is made again from
/// the log: write its entries to a copy of the disk up to a point, and look.
///
/// The form of the log is that of the kernel's target dm-log-writes, so its `replay-log` reads it.
/// All numbers are little-endian, and everything begins at a multiple of the log's sector size:
///
///     sector 0   8 bytes magic 0x6a736677736872, 8 version 1, 8 number of entries, 4 sector size
///     then each  8 sector on the disk, 8 number of sectors, 8 flags, 8 bytes of a mark's text;
///     entry      in the next sectors the data, as many as are told, unless the flag is DISCARD
///     flags      1 FLUSH, 2 FUA, 4 DISCARD, 8 MARK, whose text stands behind the entry
///
/// A zero is logged as a write of zeroes. What failed is not logged. Changes of the disk's length
/// are not in the log: the form has no place for them.
///
/// **What the order means.** An entry is written when its request has been carried out, before it
/// is answered; overlapping requests go one after the other, so that the log ends with what the
/// disk has. Nothing is logged while a flush is under way: what comes before its entry in the log
/// was carried out before the flush began, and is covered by it. So a program that was told of a
/// flush may expect everything up to its entry, and nothing of what comes after.
///
/// The number of entries in sector 0 is brought up to date, and the log flushed, with each flush,
/// after every so many entries, and at the end.
///
///     file                         the disk
///     log                          what takes the log: a file, which grows, or a disk
///     log-sector-size              what requests and entries are multiples of; 512
///     log-append                   goes on at the end of the log that is there, with its
///                                  sector size; off
///     log-super-update-interval    after how many entries the log tells their number; 4096
@NullMarked
package dev.lockstep.block.filter.blklogwrites;

import org.jspecify.annotations.NullMarked;
