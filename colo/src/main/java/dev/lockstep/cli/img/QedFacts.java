package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qed.Header;
import dev.lockstep.block.qed.QedDevice;

import org.jspecify.annotations.Nullable;

/// What a QED image says of itself.
record QedFacts(Header header) implements FormatFacts {
    static QedFacts read(Gate file) throws BlockException {
        return new QedFacts(QedDevice.header(file));
    }

    @Override
    public long bytes() {
        return header.size();
    }

    @Override
    public int clusterBytes() {
        return header.clusterBytes();
    }

    @Override
    public @Nullable String backingFile() {
        return header.backingFile();
    }

    @Override
    public @Nullable String backingFormat() {
        return header.has(Header.BACKING_RAW) ? "raw" : null;
    }

    @Override
    public boolean isDirty() {
        return header.has(Header.NEED_CHECK);
    }

    @Override
    public @Nullable ObjectNode specific() {
        return null;
    }
}
