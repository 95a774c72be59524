package dev.lockstep.block.quorum;

import dev.lockstep.block.graph.Gate;

/// One of a quorum's copies.
///
/// @param node its name, for events
/// @param gate the edge to it
public record QuorumChild(String node, Gate gate) {}
