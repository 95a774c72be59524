package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.image.UserObjects;

import org.jspecify.annotations.Nullable;

import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;

/// How a disk is opened.
///
/// @param format its format, or null to find out
/// @param unmap discards release space
/// @param objects what its options may name
record DiskOptions(
        @Nullable String format,
        Set<Flag> flags,
        CacheMode cache,
        boolean unmap,
        UserObjects objects) {

    /// What is so or not.
    enum Flag {
        /// Its name is a list of options.
        IMAGE_OPTIONS,
        /// Nothing is written to it.
        READ_ONLY,
        /// What is written goes to a temporary file.
        SNAPSHOT,
        /// Others may write to it meanwhile.
        FORCE_SHARE,
        /// What is read from images below it is written to it.
        COPY_ON_READ
    }

    static final DiskOptions NONE =
            new DiskOptions(null, Set.of(), CacheMode.WRITEBACK, true, UserObjects.NONE);

    /// For the verb `open`, which finds out formats, or is told by its own options.
    DiskOptions asForOpen() {
        return NONE.with(objects);
    }

    boolean has(Flag flag) {
        return flags.contains(flag);
    }

    boolean readOnly() {
        return has(Flag.READ_ONLY);
    }

    DiskOptions with(Flag flag, boolean value) {
        Set<Flag> changed = EnumSet.noneOf(Flag.class);
        changed.addAll(flags);
        if (value) {
            changed.add(flag);
        } else {
            changed.remove(flag);
        }
        return new DiskOptions(format, changed, cache, unmap, objects);
    }

    DiskOptions with(UserObjects defined) {
        return new DiskOptions(format, flags, cache, unmap, defined);
    }

    DiskOptions withFormat(@Nullable String name) {
        return new DiskOptions(name, flags, cache, unmap, objects);
    }

    /// The same with a cache mode of QEMU's.
    DiskOptions withCache(String mode) throws BlockException {
        for (CacheMode each : CacheMode.values()) {
            if (each.name().toLowerCase(Locale.ROOT).equals(mode)) {
                return new DiskOptions(format, flags, each, unmap, objects);
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
        return new DiskOptions(format, flags, cache, releases, objects);
    }

    Inherited inherited() {
        boolean direct = cache == CacheMode.NONE || cache == CacheMode.DIRECTSYNC;
        return new Inherited(
                readOnly(),
                direct,
                cache == CacheMode.UNSAFE,
                has(Flag.FORCE_SHARE),
                unmap,
                Inherited.DetectZeroes.OFF);
    }

    boolean writeThrough() {
        return cache == CacheMode.WRITETHROUGH || cache == CacheMode.DIRECTSYNC;
    }
}
