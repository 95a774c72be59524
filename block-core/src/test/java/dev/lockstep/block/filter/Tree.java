package dev.lockstep.block.filter;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.blkdebug.BlkdebugOpener;
import dev.lockstep.block.filter.blklogwrites.BlklogwritesOpener;
import dev.lockstep.block.filter.blkverify.BlkverifyOpener;
import dev.lockstep.block.filter.copybeforewrite.CopyBeforeWriteOpener;
import dev.lockstep.block.filter.delay.DelayOpener;
import dev.lockstep.block.filter.preallocate.PreallocateOpener;
import dev.lockstep.block.filter.snapshotaccess.SnapshotAccessOpener;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Opened;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.open.Registry;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/// Devices that were opened by their options, as a user would, with a way to the one on top.
public final class Tree implements AutoCloseable {
    private static final Registry DRIVERS =
            Registry.ofCore()
                    .with("blkdebug", BlkdebugOpener::read)
                    .with("blklogwrites", BlklogwritesOpener::read)
                    .with("blkverify", BlkverifyOpener::read)
                    .with("copy-before-write", CopyBeforeWriteOpener::read)
                    .with("delay", DelayOpener::read)
                    .with("preallocate", PreallocateOpener::read)
                    .with("snapshot-access", SnapshotAccessOpener::read);

    private final Graph graph = new Graph();
    private final Opened opened;
    private final Gate gate;

    private Tree(List<String> pairs, boolean readOnly) throws BlockException {
        Options options = Options.EMPTY;
        for (String pair : pairs) {
            int equals = pair.indexOf('=');
            options = options.with(pair.substring(0, equals), pair.substring(equals + 1));
        }
        opened = DRIVERS.open(graph, options, Inherited.NOTHING.withReadOnly(readOnly));
        gate = graph.connect(opened.root(), readOnly);
    }

    /// Opens options such as `file.filename=disk`.
    public static Tree open(String... pairs) throws BlockException {
        return new Tree(Arrays.asList(pairs), false);
    }

    /// Opens options as they stand after `--image-opts`.
    public static Tree of(String text) throws BlockException {
        return new Tree(Arrays.asList(text.split(",", -1)), false);
    }

    /// The way to the device on top.
    public Gate gate() {
        return gate;
    }

    /// Another way to a device.
    public Gate connect(String nodeName) {
        Node node = Objects.requireNonNull(graph.node(nodeName), nodeName);
        return graph.connect(node, false);
    }

    /// Ends such a way.
    public void disconnect(Gate root) {
        graph.disconnect(root);
    }

    @Override
    public void close() throws BlockException {
        graph.disconnect(gate);
        opened.close();
    }
}
