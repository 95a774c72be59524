/// A file that takes its space in large pieces, with QEMU's name `preallocate` and its options. It
/// belongs between a format that grows, such as qcow2, and its file: on file systems where making a
/// file longer is expensive, that happens seldom.
///
/// When the format needs the file longer than it is, the file gets so much more than is needed, as
/// zeroes that have their place on the disk. Nobody above sees that: the size is what was asked
/// for. Closing cuts off what was not needed. If the room is not there, only what is needed is
/// taken.
///
/// A program that is killed leaves the file longer than it need be, by zeroes. A format does not
/// mind, and the next one to close the image cuts them off if nobody uses them.
///
///     file              the file
///     prealloc-size     how much more is taken; 128M
///     prealloc-align    the file's length is made a multiple of it; 1M
@NullMarked
package dev.lockstep.block.filter.preallocate;

import org.jspecify.annotations.NullMarked;
