package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.open.Inherited;

import org.jspecify.annotations.Nullable;

import java.util.Locale;

/// How a disk is opened.
///
/// @param format its format, or null to find out
/// @param imageOptions its name is a list of options
/// @param readOnly nothing is written to it
/// @param snapshot what is written goes to a temporary file
/// @param forceShare others may write to it meanwhile
/// @param unmap discards release space
record DiskOptions(
        @Nullable String format,
        boolean imageOptions,
        boolean readOnly,
        boolean snapshot,
        boolean forceShare,
        CacheMode cache,
        boolean unmap) {

    static final DiskOptions NONE =
            new DiskOptions(null, false, false, false, false, CacheMode.WRITEBACK, true);

    /// For the verb `open`, which finds out formats, or is told by its own options.
    DiskOptions asForOpen() {
        return NONE;
    }

    DiskOptions withReadOnly(boolean value) {
        return new DiskOptions(format, imageOptions, value, snapshot, forceShare, cache, unmap);
    }

    DiskOptions withSnapshot() {
        return new DiskOptions(format, imageOptions, readOnly, true, forceShare, cache, unmap);
    }

    DiskOptions withForceShare() {
        return new DiskOptions(format, imageOptions, readOnly, snapshot, true, cache, unmap);
    }

    DiskOptions withFormat(@Nullable String name, boolean isOptions) {
        return new DiskOptions(name, isOptions, readOnly, snapshot, forceShare, cache, unmap);
    }

    /// The same with a cache mode of QEMU's.
    DiskOptions withCache(String mode) throws BlockException {
        for (CacheMode each : CacheMode.values()) {
            if (each.name().toLowerCase(Locale.ROOT).equals(mode)) {
                return new DiskOptions(
                        format, imageOptions, readOnly, snapshot, forceShare, each, unmap);
            }
        }
        throw new BlockException(Kind.INVALID, "Invalid cache option: " + mode);
    }

    /// The same with a meaning of discards.
    DiskOptions withDiscard(String mode) throws BlockException {
        boolean releases =
                switch (mode) {
                    case "unmap", "on" -> true;
                    case "ignore", "off" -> false;
                    default ->
                            throw new BlockException(
                                    Kind.INVALID, "Invalid discard option: " + mode);
                };
        return new DiskOptions(
                format, imageOptions, readOnly, snapshot, forceShare, cache, releases);
    }

    Inherited inherited() {
        boolean direct = cache == CacheMode.NONE || cache == CacheMode.DIRECTSYNC;
        return new Inherited(
                readOnly,
                direct,
                cache == CacheMode.UNSAFE,
                forceShare,
                unmap,
                Inherited.DetectZeroes.OFF);
    }

    boolean writeThrough() {
        return cache == CacheMode.WRITETHROUGH || cache == CacheMode.DIRECTSYNC;
    }
}
