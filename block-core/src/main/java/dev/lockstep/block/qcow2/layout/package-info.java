/// What the bytes of a qcow2 image mean: records on one side, big-endian bytes on the other.
///
/// Nothing here does any I/O; a codec is handed bytes and returns values, or takes values and
/// returns bytes. The engine, the creator and the checker share this package and nothing else, so
/// that the checker can be believed when it says that the engine was right.
///
/// **Every number that comes from an image is checked here**, before anybody calculates with it: a
/// record that was parsed holds offsets that are aligned and within the format's 64-bit range,
/// counts within the limits below, and names that are text. What fails is said with the name that
/// the format's description gives the field, and what is wrong with it.
///
/// **Limits** (QEMU's, so that no image opens with one and not with the other): clusters of 512
/// bytes to 2 MiB; an L1 table of 32 MiB; a refcount table of 8 MiB; names of backing files of 1023
/// bytes; 65536 snapshots in a table of 64 MiB; 65535 bitmaps. They bound what opening an image can
/// cost.
@NullMarked
package dev.lockstep.block.qcow2.layout;

import org.jspecify.annotations.NullMarked;
