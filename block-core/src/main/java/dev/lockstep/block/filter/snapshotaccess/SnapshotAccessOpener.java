package dev.lockstep.block.filter.snapshotaccess;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;

/// The driver `snapshot-access`. The package's description has its options.
public final class SnapshotAccessOpener {
    private SnapshotAccessOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        return () -> {
            if (file.bare() instanceof SnapshotSource source) {
                return new SnapshotAccessDevice(file.gate(), source);
            }
            throw options.invalid(
                    "'%s' keeps no snapshot: it has to be a copy-before-write filter"
                            .formatted(options.whole("file")));
        };
    }
}
