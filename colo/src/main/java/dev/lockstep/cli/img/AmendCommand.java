package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.qcow2.Amendment;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.check.Qcow2Checker;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;

/// `lockstep img amend`.
@Command(
        name = "amend",
        description = {
            "Change what a qcow2 image was made with.",
            "",
            "Its backing file is changed by 'lockstep img rebase'; what else is not in the list of"
                    + " options cannot be changed: convert the image."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img amend -o help disk.qcow2",
            "  lockstep img amend -o compat=1.1,lazy_refcounts=on disk.qcow2"
        })
final class AmendCommand implements Callable<Integer> {
    private static final String HELP =
            """
            Amend options for 'qcow2':
              compat=<str>           - v2 (0.10) or v3 (1.1)
              data_file=<str>        - File name of the external data file
              data_file_raw=<bool>   - off: the external data file may cease to be a raw image
              lazy_refcounts=<bool>  - Postpone refcount updates
              refcount_bits=<num>    - A power of two from 1 to 64
              size=<size>            - Virtual disk size
            """;

    /// What a new image alone can have.
    private static final List<String> FIXED =
            List.of(
                    "cluster_size",
                    "compression_type",
                    "encryption",
                    "extended_l2",
                    "nocow",
                    "preallocation");

    /// The options that were given.
    ///
    /// @param version the version, 0 as it is
    /// @param refcountBits the width of refcounts, 0 as it is
    /// @param bytes the length, -1 as it is
    private record Wanted(
            int version,
            int refcountBits,
            long bytes,
            @Nullable Boolean lazyRefcounts,
            @Nullable String dataFile,
            @Nullable Boolean rawDataFile) {
        Amendment upwards(Header before) {
            return new Amendment(
                    version > before.version() ? version : null,
                    lazyRefcounts,
                    dataFile,
                    rawDataFile);
        }
    }

    @Mixin private ImageArguments image = new ImageArguments();

    @Option(
            names = "-o",
            required = true,
            paramLabel = "OPTIONS",
            description = "What is to change, as in size=20G,compat=1.1; '-o help' lists them.")
    private List<String> options = List.of();

    @Option(names = "-t", paramLabel = "CACHE", description = "The cache mode. Default: writeback.")
    private String cache = "writeback";

    @Option(names = "-p", description = "Taken; nothing that is shown takes long.")
    private boolean ignored;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean unusedQuiet;

    @Option(names = "--force", description = "Taken; it is for encrypted images.")
    private boolean unusedForce;

    @Parameters(index = "0", arity = "0..1", paramLabel = "FILE", description = "The image.")
    private @Nullable String file;

    @Override
    public Integer call() throws IOException {
        NewImage.Request request = new NewImage.Request("qcow2", options, -1, null, null);
        if (request.isHelp()) {
            System.out.print(HELP);
            return 0;
        }
        if (file == null) {
            throw new IOException("say which FILE to amend");
        }
        Header before = header(file);
        amend(file, before, wanted(request.reader(), before));
        return 0;
    }

    private Header header(String name) throws IOException {
        try (Holder holder = Holder.open(image.spec(name), Images.inherited(true, cache, false))) {
            if (!holder.format().equals("qcow2")) {
                throw new BlockException(
                        Kind.UNSUPPORTED,
                        "%s is a %s image: only qcow2 images can be amended"
                                .formatted(name, holder.format()));
            }
            return Qcow2Device.header(holder.gate());
        }
    }

    private static Wanted wanted(OptionReader reader, Header before) throws BlockException {
        if (reader.has("backing_file") || reader.has("backing_fmt")) {
            throw reader.invalid("the backing file is changed by 'lockstep img rebase'");
        }
        for (String fixed : FIXED) {
            if (reader.has(fixed)) {
                throw reader.invalid("'%s' is for new images alone".formatted(fixed));
            }
        }
        Wanted wanted =
                new Wanted(
                        reader.has("compat") ? NewQcow2.version(reader, reader.text("compat")) : 0,
                        (int) reader.number("refcount_bits", 1, 64, 0),
                        reader.bytes("size", -1),
                        reader.has("lazy_refcounts") ? reader.truth("lazy_refcounts", false) : null,
                        reader.textOrNull("data_file"),
                        reader.has("data_file_raw") ? reader.truth("data_file_raw", false) : null);
        reader.finish();
        check(reader, wanted, before);
        return wanted;
    }

    private static void check(OptionReader reader, Wanted wanted, Header before)
            throws BlockException {
        int version = wanted.version == 0 ? before.version() : wanted.version;
        int bits = wanted.refcountBits == 0 ? 1 << before.refcountOrder() : wanted.refcountBits;
        if (Integer.bitCount(bits) != 1) {
            throw reader.invalid("'refcount_bits' is %d: write a power of two".formatted(bits));
        }
        if (version < 3 && bits != 1 << Header.REFCOUNT_ORDER_DEFAULT) {
            throw reader.invalid("compat=0.10 needs refcount_bits=16");
        }
        if (version < 3 && Boolean.TRUE.equals(wanted.lazyRefcounts)) {
            throw reader.invalid("lazy_refcounts needs compat=1.1");
        }
    }

    /// What version 3 alone has comes after it becomes one, and goes before it ceases to be one.
    private void amend(String name, Header before, Wanted wanted) throws IOException {
        try (OpenImage opened = Images.openToResize(image.spec(name), cache)) {
            Qcow2Device device = device(opened);
            device.amend(wanted.upwards(before));
            if (wanted.bytes >= 0 && wanted.bytes != device.size()) {
                device.resize(wanted.bytes);
            }
        }
        if (wanted.refcountBits != 0 && wanted.refcountBits != 1 << before.refcountOrder()) {
            try (Holder holder =
                    Holder.open(image.spec(name), Images.inherited(false, cache, false))) {
                Qcow2Checker.changeRefcountWidth(holder.gate(), wanted.refcountBits);
            }
        }
        if (wanted.version != 0 && wanted.version < before.version()) {
            try (OpenImage opened = Images.openToResize(image.spec(name), cache)) {
                device(opened).amend(Amendment.ofVersion(wanted.version));
            }
        }
    }

    private static Qcow2Device device(OpenImage opened) {
        return (Qcow2Device) Objects.requireNonNull(opened.image().bare());
    }
}
