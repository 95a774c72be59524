package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Inherited.DetectZeroes;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.Registry;
import dev.lockstep.image.Drivers;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.util.Locale;
import java.util.Set;

/// Opens images, for all commands.
final class Images {
    private static final Set<String> FORMATS = Set.of("overlay", "qcow2", "qed");

    private Images() {}

    /// Those that an image is opened with.
    static Registry drivers(ImageSpec spec) {
        return Drivers.all(spec.objects());
    }

    /// For reading.
    ///
    /// @param forceShare others may be writing to it
    static OpenImage openToRead(ImageSpec spec, String cache, boolean forceShare)
            throws BlockException {
        return openToRead(spec, null, cache, forceShare);
    }

    /// For reading what it was when a snapshot inside it was taken.
    ///
    /// @param snapshot what `-l` says, or null for the image as it is
    static OpenImage openToRead(
            ImageSpec spec, @Nullable String snapshot, String cache, boolean forceShare)
            throws BlockException {
        return open(spec, snapshot, inherited(true, cache, forceShare));
    }

    /// For writing.
    static OpenImage openToWrite(ImageSpec spec, String cache) throws BlockException {
        OpenImage image = open(spec, null, inherited(false, cache, false));
        if (isWriteThrough(cache)) {
            image.writeThrough();
        }
        return image;
    }

    /// For somebody who changes its length and flushes by himself: nothing lies above it.
    static OpenImage openToResize(ImageSpec spec, String cache) throws BlockException {
        return open(spec, null, inherited(false, cache, false));
    }

    /// The same without what lies below it.
    static OpenImage openAlone(ImageSpec spec, String cache) throws BlockException {
        return openAlone(spec, inherited(false, cache, false));
    }

    /// The same as somebody wants it.
    static OpenImage openAlone(ImageSpec spec, Inherited inherited) throws BlockException {
        try (Holder holder = Holder.open(spec, inherited(true, "writeback", true))) {
            if (!isFormat(holder.format())) {
                return open(spec, null, inherited);
            }
        }
        try {
            return OpenImage.open(
                    spec.tree().with("backing", new Option.Nothing()), inherited, drivers(spec));
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
        }
    }

    private static OpenImage open(ImageSpec spec, @Nullable String snapshot, Inherited inherited)
            throws BlockException {
        try {
            return OpenImage.open(spec.tree(snapshot), inherited, drivers(spec));
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
        }
    }

    static Inherited inherited(boolean readOnly, String cache, boolean forceShare)
            throws BlockException {
        CacheMode mode = cacheMode(cache);
        return new Inherited(
                readOnly,
                mode == CacheMode.NONE || mode == CacheMode.DIRECTSYNC,
                mode == CacheMode.UNSAFE,
                forceShare,
                true,
                DetectZeroes.OFF);
    }

    private static boolean isWriteThrough(String cache) throws BlockException {
        CacheMode mode = cacheMode(cache);
        return mode == CacheMode.WRITETHROUGH || mode == CacheMode.DIRECTSYNC;
    }

    private static CacheMode cacheMode(String text) throws BlockException {
        for (CacheMode mode : CacheMode.values()) {
            if (mode.name().toLowerCase(Locale.ROOT).equals(text)) {
                return mode;
            }
        }
        throw new BlockException(
                Kind.INVALID,
                "there is no cache mode '%s': write writeback, none, writethrough, directsync or"
                                .formatted(text)
                        + " unsafe");
    }

    /// Whether a driver is a format of images, which lie in a file.
    static boolean isFormat(String driver) {
        return FORMATS.contains(driver);
    }

    /// The name of an open image's format: what is no format is a raw disk.
    static String format(Node image) {
        return FORMATS.contains(image.driver()) ? image.driver() : "raw";
    }
}
