/// How devices are joined.
///
/// Every edge of the block graph, from a parent device to its child or from an export to its root,
/// is a [Gate]. The gate is the one place that checks a request (range, permission, alignment),
/// emulates what the child lacks, counts what is in flight, and can be shut: that is how the graph
/// changes under running I/O.
///
/// Rules that keep changing the graph free of deadlock:
///
/// - Drain from the roots: shut the gates of exports and jobs and wait for them first; an inner
///   gate is shut only when everything above it is quiet.
/// - A request never changes the graph. Changes are serialised by the graph.
/// - A dead child does not drain itself: [Gate#fail] poisons the edge, the child aborts what it has
///   in flight, and the count falls to zero by itself.
@NullMarked
package dev.lockstep.block.graph;

import org.jspecify.annotations.NullMarked;
