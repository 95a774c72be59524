package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.open.Inherited;
import dev.lockstep.block.open.Inherited.DetectZeroes;
import dev.lockstep.block.open.Option.Whole;
import dev.lockstep.block.open.Options;
import dev.lockstep.block.overlay.BufferStore;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.image.Drivers;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;
import dev.lockstep.image.UserObjects;
import dev.lockstep.nbd.MarkedBytes;
import dev.lockstep.nbd.MetaContext;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/// The options of `lockstep nbd` that say what the disk is, and opening it.
final class NbdImage {
    /// Where a snapshot's files go unless TMPDIR says otherwise: on a disk, since they may grow.
    private static final String SNAPSHOT_FOLDER = "/var/tmp";

    /// What `--discard` can say, in both of qemu-nbd's wordings.
    private enum Discard {
        IGNORE,
        OFF,
        UNMAP,
        ON;

        private boolean unmaps() {
            return this == UNMAP || this == ON;
        }
    }

    /// What `--aio` can say. All mean what we do anyway.
    private enum Aio {
        THREADS,
        NATIVE,
        IO_URING
    }

    @Option(
            names = {"-f", "--format"},
            paramLabel = "FMT",
            description =
                    "The image's format: raw or qcow2. Default: found out by looking, with a"
                            + " warning if it looks raw.")
    private @Nullable String format;

    @Option(
            names = "--image-opts",
            description =
                    "FILE is a list of options, as in driver=raw,offset=1M,file.driver=file,"
                            + "file.filename=PATH; a comma in a value is written twice.")
    private boolean imageOptions;

    @Option(
            names = {"-o", "--offset"},
            paramLabel = "BYTES",
            description = "Leave out so many bytes at the image's beginning.")
    private Converters.@Nullable Bytes offset;

    @Option(
            names = {"-r", "--read-only"},
            description = "Refuse all writing.")
    private boolean readOnly;

    @Option(
            names = {"-s", "--snapshot"},
            description =
                    "Leave FILE as it is: what is written goes to a temporary file, in TMPDIR or"
                            + " /var/tmp, and is dropped at the end.")
    private boolean snapshot;

    @Option(
            names = {"-l", "--load-snapshot"},
            paramLabel = "SNAPSHOT",
            description =
                    "Export, read-only, the disk as it was at a snapshot inside the image: its id or"
                            + " name, or snapshot.id=ID,snapshot.name=NAME.")
    private @Nullable String internalSnapshot;

    @Option(
            names = {"-B", "--bitmap"},
            paramLabel = "NAME",
            description =
                    "Tell clients of the dirty bitmap NAME inside the image, or of the next one"
                            + " below it in the chain (qemu:dirty-bitmap:NAME). May be repeated.")
    private List<String> bitmaps = new ArrayList<>();

    @Option(
            names = "--cache",
            paramLabel = "MODE",
            description =
                    "writeback (the default), none (past the page cache), writethrough, directsync"
                            + " or unsafe.")
    private CacheMode cache = CacheMode.WRITEBACK;

    @Option(
            names = {"-n", "--nocache"},
            description = "The same as --cache=none.")
    private boolean noCache;

    @Option(
            names = "--aio",
            paramLabel = "MODE",
            description =
                    "threads, native (with --cache=none or directsync) or io_uring. All are taken,"
                            + " and make no difference.")
    private @Nullable Aio aio;

    @Option(
            names = "--discard",
            paramLabel = "MODE",
            description =
                    "What becomes of a client's trim: unmap (or on) releases the space, ignore (or"
                            + " off, the default) does nothing.")
    private Discard discard = Discard.IGNORE;

    @Option(
            names = "--detect-zeroes",
            paramLabel = "MODE",
            description =
                    "What becomes of a write of zeroes: off (the default) writes them, on zeroes"
                            + " without writing, unmap (with --discard=unmap) releases the space.")
    private DetectZeroes detectZeroes = DetectZeroes.OFF;

    /// Whether clients may not write.
    boolean readOnly() {
        return readOnly || internalSnapshot != null;
    }

    /// What clients are to be told about the disk besides its bytes.
    List<MetaContext> contexts(OpenImage image) throws BlockException {
        List<MetaContext> contexts = new ArrayList<>();
        for (String name : bitmaps) {
            PersistentBitmap bitmap = image.bitmap(name);
            contexts.add(
                    MetaContext.dirtyBitmap(
                            name, MarkedBytes.of(bitmap.bits(), bitmap.granularity())));
        }
        return contexts;
    }

    /// Whether anything was said about the disk that qemu-nbd refuses with `-L`.
    boolean isGiven() {
        return format != null
                || imageOptions
                || internalSnapshot != null
                || !bitmaps.isEmpty()
                || aio != null;
    }

    /// Refuses what cannot be, before anything is opened.
    void check() {
        CacheMode mode = mode();
        boolean direct = mode == CacheMode.NONE || mode == CacheMode.DIRECTSYNC;
        if (detectZeroes == DetectZeroes.UNMAP && !discard.unmaps()) {
            throw new UsageError("--detect-zeroes=unmap needs --discard=unmap as well");
        }
        if (aio == Aio.NATIVE && !direct) {
            throw new UsageError("--aio=native needs --cache=none or directsync as well");
        }
        if (!bitmaps.isEmpty() && offset != null) {
            throw new UsageError("-B tells of the whole disk: leave -o out");
        }
        if (internalSnapshot != null && format != null && !format.equals("qcow2")) {
            throw new UsageError("-l: a %s image has no snapshots inside".formatted(format));
        }
        if (internalSnapshot != null && snapshot) {
            throw new UsageError("-l exports a snapshot that nobody writes to: leave -s out");
        }
    }

    /// Opens the disk, complete but for the edge that clients go through.
    ///
    /// @param objects what it may name
    OpenImage open(String file, UserObjects objects) throws IOException {
        OpenImage image = openFormat(file, objects);
        boolean done = false;
        try {
            if (snapshot) {
                String folder = System.getenv().getOrDefault("TMPDIR", SNAPSHOT_FOLDER);
                image.snapshot(BufferStore.inFolder(Path.of(folder)));
            }
            if (offset != null && offset.count() > 0) {
                image.cover(
                        Options.EMPTY
                                .with("driver", "raw")
                                .with("offset", new Whole(offset.count())));
            }
            if (!readOnly()
                    && (mode() == CacheMode.WRITETHROUGH || mode() == CacheMode.DIRECTSYNC)) {
                image.writeThrough();
            }
            done = true;
            return image;
        } finally {
            if (!done) {
                image.close();
            }
        }
    }

    private CacheMode mode() {
        return noCache ? CacheMode.NONE : cache;
    }

    private Inherited defaults() {
        CacheMode mode = mode();
        return new Inherited(
                readOnly() || snapshot,
                mode == CacheMode.NONE || mode == CacheMode.DIRECTSYNC,
                mode == CacheMode.UNSAFE,
                false,
                discard.unmaps(),
                readOnly() || snapshot ? DetectZeroes.OFF : detectZeroes);
    }

    private OpenImage openFormat(String file, UserObjects objects) throws BlockException {
        if (format != null) {
            checkFormat(format);
        }
        Options tree = tree(new ImageSpec(file, format, imageOptions));
        OpenImage image = OpenImage.open(tree, defaults(), Drivers.all(objects));
        image.warnOfGuesses();
        return image;
    }

    private Options tree(ImageSpec spec) {
        try {
            return spec.tree(internalSnapshot);
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }

    private static void checkFormat(String format) {
        Set<String> drivers = Drivers.all().drivers();
        if (!drivers.contains(format)) {
            throw new UsageError(
                    "the format '%s' is not known; there are %s"
                            .formatted(format, String.join(", ", new TreeSet<>(drivers))));
        }
    }
}
