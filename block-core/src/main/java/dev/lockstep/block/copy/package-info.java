/// Copies the bytes of one device to another, many requests at a time, and leaves out what is
/// empty.
///
/// A [dev.lockstep.block.copy.Walk] asks the source what it is made of and hands the pieces out in
/// order: stretches that read as zeroes, however long, and data in requests. Workers take them,
/// with buffers that they reuse, so the memory of a copy is the number of requests in flight times
/// their length, whatever the size of the disk. Where an end can have several requests under way by
/// itself, as a remote one can, a few workers read ahead and write behind; otherwise there is a
/// virtual thread for each request (`Lanes`). What is data may still be zeroes; blocks of them are
/// zeroed on the target instead of written.
///
/// [dev.lockstep.block.copy.DeviceCopy] copies between two gates, and
/// [dev.lockstep.block.copy.Comparison] reads two and tells where they first differ.
/// [dev.lockstep.block.copy.ZeroSearch] looks for what is no zero.
/// [dev.lockstep.block.copy.StreamCopy] copies from and to what has no positions, a pipe, and
/// therefore in order, one request at a time.
///
/// The first failure ends a copy: requests in flight are waited for, because buffers belong to
/// them, and nothing new is begun. There is no half success; what the target then holds is
/// unspecified.
@NullMarked
package dev.lockstep.block.copy;

import org.jspecify.annotations.NullMarked;
