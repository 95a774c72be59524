package dev.lockstep.block.filter.blkverify;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;

/// The driver `blkverify`. The package's description has its options.
public final class BlkverifyOpener {
    private BlkverifyOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge test = options.child("test");
        Edge raw = options.child("raw");
        return () -> new BlkverifyDevice(test.gate(), raw.gate());
    }
}
