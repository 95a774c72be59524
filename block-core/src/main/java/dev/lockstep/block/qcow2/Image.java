package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.qcow2.codec.CompressedClusters;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.table.Mapping;
import dev.lockstep.block.qcow2.table.Tables;

import java.nio.ByteBuffer;

/// What an open image consists of, and reading it.
///
/// @param data where clusters lie: the image's file, or its external data file
/// @param discards whether what a guest gives up is discarded in the file that it lies in
/// @param keepsPlaces whether it keeps its place there
/// @param compressed those of its clusters that are compressed
/// @param backing what is read where the image has nothing
record Image(
        Tables tables,
        HostFile data,
        boolean discards,
        boolean keepsPlaces,
        CompressedClusters compressed,
        Backing backing) {
    /// Whether clusters lie in an external data file, each where the guest sees it.
    boolean dataElsewhere() {
        return tables.header().current().has(Feature.EXTERNAL_DATA);
    }

    /// Whether the external data file is a raw image too, which holds at any time what the guest
    /// sees.
    boolean rawData() {
        return dataElsewhere() && tables.header().current().has(Feature.RAW_EXTERNAL);
    }

    /// Fills the buffer from the guest's bytes at `offset` on. Called between entering and leaving.
    void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        while (target.hasRemaining()) {
            Mapping found = tables.mappings().lookup(offset, target.remaining());
            int count = (int) found.length();
            target.limit(target.position() + count);
            switch (found) {
                case Mapping.Data at -> {
                    tables.file().before(Step.READ_AIO);
                    data.read(at.host(), target);
                }
                case Mapping.Zero _ -> Zeroes.put(target);
                case Mapping.Unallocated _ -> readBacking(offset, target);
                case Mapping.Compressed at -> {
                    tables.file().before(Step.READ_COMPRESSED);
                    compressed.read(at.host(), at.hostBytes(), inCluster(offset), target);
                }
            }
            target.limit(end);
            offset += count;
        }
    }

    /// Like [#read] if that is possible without blocking.
    boolean readNow(long offset, ByteBuffer target) throws BlockException {
        int start = target.position();
        int end = target.limit();
        boolean done = true;
        while (done && target.hasRemaining()) {
            Mapping found = tables.mappings().lookupNow(offset, target.remaining());
            if (found == null) {
                done = false;
                break;
            }
            target.limit(target.position() + (int) found.length());
            done =
                    switch (found) {
                        case Mapping.Data at -> data.readNow(at.host(), target);
                        case Mapping.Zero _ -> putZeroes(target);
                        case Mapping.Unallocated _ -> backing.readNow(offset, target);
                        case Mapping.Compressed at ->
                                compressed.readNow(at.host(), inCluster(offset), target);
                    };
            target.limit(end);
            offset += found.length();
        }
        if (!done) {
            target.position(start);
        }
        return done;
    }

    /// Whether guest bytes are known to read as zeroes, without reading them.
    boolean readsAsZero(long offset, long length) throws BlockException {
        for (long at = offset; at < offset + length; ) {
            Mapping found = tables.mappings().lookup(at, offset + length - at);
            boolean zero =
                    found instanceof Mapping.Zero
                            || (found instanceof Mapping.Unallocated && at >= backing.bytes());
            if (!zero) {
                return false;
            }
            at += found.length();
        }
        return true;
    }

    private void readBacking(long offset, ByteBuffer target) throws BlockException {
        if (offset < backing.bytes()) {
            tables.file().before(Step.READ_BACKING_AIO);
        }
        backing.read(offset, target);
    }

    private int inCluster(long offset) {
        return (int) offset & (tables.geometry().clusterBytes() - 1);
    }

    private static boolean putZeroes(ByteBuffer target) {
        Zeroes.put(target);
        return true;
    }
}
