package dev.lockstep.colo.primary;

import dev.lockstep.block.file.CacheMode;
import dev.lockstep.colo.Side.NodeInfo;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The nodes of a side that leads, as its monitor names them.
public final class PairNodes {
    /// The disk of this side.
    public static final String LOCAL = "local";

    /// The disk of the secondary.
    static final String REMOTE = "remote";

    private PairNodes() {}

    /// From the guest's edge down.
    ///
    /// @param name the pair's
    /// @param format of the disk
    public static List<NodeInfo> of(String name, Leader leader, Path disk, String format) {
        PairDevice pair = leader.pair();
        List<NodeInfo> nodes = new ArrayList<>();
        nodes.add(node(name, "quorum", pair.description(), pair));
        nodes.add(node(LOCAL, format, disk.toString(), pair));
        leader.remoteChild().ifPresent(remote -> nodes.add(node(REMOTE, "nbd", remote, pair)));
        return nodes;
    }

    private static NodeInfo node(String name, String driver, String file, PairDevice pair) {
        return new NodeInfo(name, driver, file, pair.size(), CacheMode.WRITEBACK, null);
    }
}
