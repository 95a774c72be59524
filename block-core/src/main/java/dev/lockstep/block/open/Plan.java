package dev.lockstep.block.open;

import java.util.List;

/// A node whose options were read and found right.
///
/// @param name its node name, or empty for one that the graph makes up
/// @param opening opens the device once the edges are connected
record Plan(
        String name,
        String driver,
        NodeOptions.Common common,
        List<Edge> edges,
        Opener.Opening opening) {}
