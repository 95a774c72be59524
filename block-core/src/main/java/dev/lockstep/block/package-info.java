/// The nouns of the block layer.
///
/// A [BlockDevice] is a row of bytes that can be read, written, zeroed, discarded and flushed. It
/// says once what it can do ([Capabilities]), tells where its data lies ([Extent]), and fails with
/// a [BlockException] that says what kind of failure it was, on which device and where. Devices are
/// stacked by handing one a [dev.lockstep.block.graph.Gate] to another: every edge is a gate, and
/// the gate checks range, alignment and permission, so that a device contains only its own idea.
///
/// All offsets and lengths are in bytes. All calls block; they are meant to be made from virtual
/// threads. The exceptions are [BlockDevice#readNow] and [BlockDevice#writeNow], which never block
/// and may be called on an event loop.
@NullMarked
package dev.lockstep.block;

import org.jspecify.annotations.NullMarked;
