package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Options.Caches;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.check.Qcow2Checker;
import dev.lockstep.block.qcow2.codec.ClusterCodec;
import dev.lockstep.block.qcow2.codec.CompressedClusters;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.table.Freed;
import dev.lockstep.block.qcow2.table.Tables;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.Set;

/// What an image is put together from when it is opened.
final class Parts {
    private static final Logger LOG = LoggerFactory.getLogger(Parts.class);

    private Parts() {}

    static Header header(HostFile file) throws BlockException {
        ByteBuffer probe = ByteBuffer.allocate(Header.PROBE_BYTES);
        file.read(0, probe);
        int clusterBytes = Header.clusterBytes(probe.flip(), file.description());
        ByteBuffer head = ByteBuffer.allocate((int) Math.min(clusterBytes, file.size()));
        file.read(0, head);
        return Header.parse(head.flip(), file.size(), file.description());
    }

    /// The header of an image that can be written to. One whose refcounts may be wrong, since it
    /// was not closed, is repaired first.
    static Header soundHeader(HostFile file) throws BlockException {
        Header header = header(file);
        if (header.has(Feature.CORRUPT)) {
            throw file.corrupt("it is marked as corrupt, so that it can only be read");
        }
        if (!header.has(Feature.DIRTY)) {
            return header;
        }
        LOG.warn("{}: the image was not closed properly: it is repaired", file.description());
        CheckResult result = Qcow2Checker.check(file.gate(), Repair.ALL, LOG::debug);
        if (!result.isSound()) {
            throw file.corrupt("it was not closed properly and could not be repaired");
        }
        return header(file);
    }

    static Tables tables(
            HostFile file, Header header, long[] l1, @Nullable Gate dataFile, Qcow2Options options)
            throws BlockException {
        if (options.discardNoUnref() && header.version() < 3) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: discard-no-unref needs an image of version 3 (compat=1.1)"
                            .formatted(file.description()));
        }
        if (header.has(Feature.EXTERNAL_DATA) != (dataFile != null)) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: %s"
                            .formatted(
                                    file.description(),
                                    dataFile == null
                                            ? "its data lies in another file: name it as data-file"
                                            : "its data lies in itself: leave data-file out"));
        }
        return new Tables(
                file,
                header,
                l1,
                dataFile == null ? null : HostFile.ofData(dataFile),
                settings(header, options));
    }

    static Image image(Tables tables, Backing backing, Qcow2Options options) {
        HostFile data = tables.dataFile();
        CompressedClusters compressed =
                new CompressedClusters(
                        tables.file().gate(),
                        switch (tables.header().current().compression()) {
                            case DEFLATE -> ClusterCodec.deflate();
                            case ZSTD -> ClusterCodec.zstd();
                        },
                        tables.geometry().clusterBytes());
        return new Image(
                tables,
                data == null ? tables.file() : data,
                options.passDiscardRequest(),
                options.discardNoUnref(),
                compressed,
                backing);
    }

    /// The bitmaps of an image that is written to, which record that from now on.
    static ImageBitmaps recording(HostFile file, Header header) throws BlockException {
        ImageBitmaps bitmaps = ImageBitmaps.read(file, header, true);
        bitmaps.begin();
        return bitmaps;
    }

    private static Tables.Settings settings(Header header, Qcow2Options options)
            throws BlockException {
        int entryBytes = header.geometry().entryWords() * Long.BYTES;
        Caches caches = options.caches(header.size(), header.clusterBytes(), entryBytes);
        boolean lazy =
                switch (options.lazyRefcounts()) {
                    case AS_IN_IMAGE -> header.has(Feature.LAZY_REFCOUNTS);
                    case ON -> true;
                    case OFF -> false;
                };
        return new Tables.Settings(
                caches.l2Bytes(),
                caches.l2EntryBytes(),
                caches.refcountBytes(),
                lazy,
                discarded(options));
    }

    private static Set<Freed> discarded(Qcow2Options options) {
        EnumSet<Freed> reasons = EnumSet.of(Freed.CUT);
        if (options.passDiscardRequest()) {
            reasons.add(Freed.REQUEST);
        }
        if (options.passDiscardSnapshot()) {
            reasons.add(Freed.SNAPSHOT);
        }
        if (options.passDiscardOther()) {
            reasons.add(Freed.OTHER);
        }
        return reasons;
    }
}
