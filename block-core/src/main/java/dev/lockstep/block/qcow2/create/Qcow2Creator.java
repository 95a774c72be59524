package dev.lockstep.block.qcow2.create;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.FreshFile;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.L2Entry;
import dev.lockstep.block.qcow2.layout.RefcountBlock;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// Writes a new image.
public final class Qcow2Creator {
    /// Zeroes are written in pieces of this size where they must be written.
    private static final int ZEROES_BYTES = 1 << 20;

    private final Gate file;
    private final CreateOptions options;
    private final Geometry geometry;
    private final ImagePlan plan;

    private Qcow2Creator(Gate file, CreateOptions options) throws BlockException {
        this.file = file;
        this.options = options;
        geometry = options.geometry();
        plan = ImagePlan.of(options);
    }

    /// Makes an image. What the files held before is lost.
    ///
    /// @param file what is to hold the image; it gets the length that is needed, or, if its length
    ///     is fixed, must have it
    /// @param dataFile what is to hold the guest's clusters if the options name a data file; it
    ///     becomes as long as the disk, and what it holds within that stays
    /// @throws BlockException if the options are not possible, or a write failed; the file is then
    ///     no image
    public static void create(Gate file, @Nullable Gate dataFile, CreateOptions options)
            throws BlockException {
        options.check();
        if ((dataFile == null) != (options.dataFile() == null)) {
            throw new IllegalArgumentException("a data file is needed exactly if it is recorded");
        }
        new Qcow2Creator(file, options).create(dataFile);
    }

    private void create(@Nullable Gate dataFile) throws BlockException {
        ByteBuffer header = header().encode();
        if (dataFile != null) {
            FreshFile.setLength(dataFile, options.size());
        }
        FreshFile.empty(file, bytes(1));
        FreshFile.setLength(file, bytes(plan.total()));
        tables();
        if (plan.data() > 0) {
            reserve(file, bytes(plan.dataStart()), bytes(plan.data()));
        } else if (dataFile != null) {
            reserve(dataFile, 0, options.size());
            dataFile.flush();
        }
        file.flush();
        file.write(0, header, WriteFlag.NONE);
        file.flush();
    }

    private Header header() {
        boolean external = options.dataFile() != null;
        return Header.builder()
                .version(options.version())
                .clusterBits(geometry.clusterBits())
                .size(options.size())
                .l1(bytes(plan.l1Start()), (int) geometry.l1Entries(options.size()))
                .refcountTable(bytes(plan.refcountTableStart()), (int) plan.refcountTable())
                .refcountOrder(geometry.refcountOrder())
                .compression(options.compressionType())
                .feature(Feature.EXTERNAL_DATA, external)
                .feature(Feature.RAW_EXTERNAL, options.dataFileRaw())
                .feature(Feature.EXTENDED_L2, options.extendedL2())
                .feature(Feature.LAZY_REFCOUNTS, options.lazyRefcounts())
                .backing(options.backingFile(), options.backingFormat())
                .externalDataFile(options.dataFile())
                .build();
    }

    private void tables() throws BlockException {
        TableWriter out = new TableWriter(file, bytes(plan.refcountTableStart()));
        for (long block = 0; block < plan.refcountBlocks(); block++) {
            out.put(bytes(plan.refcountBlocksStart() + block));
        }
        out.zeroTo(bytes(plan.refcountBlocksStart()));
        for (long block = 0; block < plan.refcountBlocks(); block++) {
            out.put(refcountBlock(block));
        }
        for (long table = 0; table < plan.l2(); table++) {
            out.put(bytes(plan.l2Start() + table) | L2Entry.COPIED);
        }
        out.zeroTo(bytes(plan.l2Start()));
        if (options.mapped()) {
            mappings(out);
        }
        out.flush();
    }

    private ByteBuffer refcountBlock(long number) {
        int perBlock = geometry.refcountsPerBlock();
        long used = Math.min(perBlock, plan.total() - number * perBlock);
        ByteBuffer block = ByteBuffer.allocate(geometry.clusterBytes());
        for (int index = 0; index < used; index++) {
            RefcountBlock.set(block, index, geometry.refcountOrder(), 1);
        }
        return block;
    }

    /// With subclusters a cluster has its place, but none of its subclusters is allocated: they go
    /// on reading from the backing file.
    private void mappings(TableWriter out) throws BlockException {
        long clusters = Math.ceilDiv(options.size(), (long) options.clusterSize());
        long start = options.dataFile() == null ? plan.dataStart() : 0;
        for (long cluster = 0; cluster < clusters; cluster++) {
            out.put(bytes(start + cluster) | L2Entry.COPIED);
            if (options.extendedL2()) {
                out.put(options.dataFileRaw() ? L2Entry.ALL_ALLOCATED : 0);
            }
        }
        out.zeroTo(bytes(plan.dataStart()));
    }

    private void reserve(Gate device, long offset, long bytes) throws BlockException {
        switch (options.preallocation()) {
            case OFF, METADATA -> {}
            case FALLOC -> device.zero(offset, bytes, WriteFlag.NONE);
            case FULL -> {
                ByteBuffer zeroes = ByteBuffer.allocateDirect(ZEROES_BYTES);
                for (long done = 0; done < bytes; done += ZEROES_BYTES) {
                    int step = (int) Math.min(ZEROES_BYTES, bytes - done);
                    device.write(offset + done, zeroes.slice(0, step), WriteFlag.NONE);
                }
            }
        }
    }

    private long bytes(long clusters) {
        return clusters << geometry.clusterBits();
    }
}
