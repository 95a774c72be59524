/// Several copies of one disk.
///
/// A [dev.lockstep.block.quorum.QuorumDevice] sends every write, zero, discard and flush to all of
/// its children at once, and succeeds if at least *threshold* of them did. Reading is either by
/// vote (all children are read; the bytes that at least *threshold* of them agree on are the
/// answer) or from the first child that can be read.
///
/// A child that failed or was outvoted is reported as a
/// [dev.lockstep.block.quorum.QuorumEvent.ReportBad], a request that found no quorum as a
/// [dev.lockstep.block.quorum.QuorumEvent.Failure]; a bad child is used again with the next
/// request.
///
/// **Overlapping requests** would reach the children in different orders, and the copies would
/// differ from then on; a vote would meet a write that has reached only some. So changes hold their
/// range exclusively until every child is done, and votes hold theirs shared (exclusively, if they
/// may rewrite a child that was outvoted). A discard, after which each child might show something
/// else, is passed on as a zero that may unmap.
///
/// This is the general device, as QEMU has it. The primary of a replicated pair needs a stricter
/// rule for its acknowledgements and has a device of its own.
@NullMarked
package dev.lockstep.block.quorum;

import org.jspecify.annotations.NullMarked;
