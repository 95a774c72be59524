package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.concat.Concatenation;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep img convert`.
@Command(
        name = "convert",
        description = {
            "Copy an image to another of the same or another format.",
            "",
            "What the source says is empty is not read, zeroes are not written, and many requests are"
                    + " in flight. Several sources become one image, one after the other. The"
                    + " target is made, or replaced; if that does not succeed, or Ctrl-C ends it,"
                    + " nothing is left of it."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img convert -O qcow2 -c -p disk.raw small.qcow2",
            "  lockstep img convert -f qcow2 -O raw -n disk.qcow2 nbd://host/disk"
        })
final class ConvertCommand implements Callable<Integer> {
    @Mixin private ImageArguments image = new ImageArguments();

    @Mixin private TargetArguments target = new TargetArguments();

    @Mixin private CopyArguments copying = new CopyArguments();

    @Option(
            names = "-T",
            paramLabel = "CACHE",
            description = "The sources' cache mode. Default: writeback.")
    private String sourceCache = "writeback";

    @Option(
            names = "-l",
            paramLabel = "SNAPSHOT",
            description =
                    "Copy the source as it was at a snapshot inside it: an id or a name, or"
                            + " snapshot.id=ID,snapshot.name=NAME.")
    private @Nullable String snapshot;

    @Option(names = "--bitmaps", description = "Copy the source's dirty bitmaps as well.")
    private boolean withBitmaps;

    @Option(
            names = "--skip-broken-bitmaps",
            description = "Leave inconsistent bitmaps out; with --bitmaps.")
    private boolean skipBroken;

    @Mixin private Telling telling = new Telling();

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the sources.")
    private boolean forceShare;

    @Parameters(
            arity = "2..*",
            paramLabel = "FILE",
            description = "The sources, and last the target.")
    private List<String> files = List.of();

    @Override
    public Integer call() throws IOException {
        try (Interruption interruption = Interruption.awaited()) {
            convert(interruption);
        }
        return 0;
    }

    private void convert(Interruption interruption) throws IOException {
        checkArguments();
        List<OpenImage> sources = new ArrayList<>();
        try {
            List<Gate> gates = new ArrayList<>();
            for (String file : files.subList(0, files.size() - 1)) {
                OpenImage opened =
                        Images.openToRead(image.spec(file), snapshot, sourceCache, forceShare);
                sources.add(opened);
                gates.add(opened.connect(true));
            }
            Gate source = gates.size() == 1 ? gates.getFirst() : new Gate(new Concatenation(gates));
            BitmapCopy bitmaps =
                    withBitmaps ? BitmapCopy.of(sources.getFirst(), skipBroken) : BitmapCopy.NONE;
            convert(copying.source(source, telling.quiet()), bitmaps, interruption);
        } finally {
            for (OpenImage opened : sources) {
                opened.close();
            }
        }
    }

    private void checkArguments() throws BlockException {
        if (files.size() > 2 && (snapshot != null || withBitmaps)) {
            throw new BlockException(Kind.INVALID, "-l and --bitmaps: name one source only");
        }
        if (skipBroken && !withBitmaps) {
            throw new BlockException(Kind.INVALID, "--skip-broken-bitmaps needs --bitmaps as well");
        }
    }

    private void convert(Gate source, BitmapCopy bitmaps, Interruption interruption)
            throws IOException {
        String file = files.getLast();
        ImageSpec spec = target.spec(file).with(image.objects());
        try (Target made = target.prepare(spec, source.size())) {
            CopyOptions options =
                    copying.options(made.gate()).with(made.readsAsZero(), target.hasBacking());
            if (made.gate().size() < source.size()) {
                throw new BlockException(
                        Kind.INVALID,
                        "%s has %d bytes, fewer than the %d to be copied"
                                .formatted(file, made.gate().size(), source.size()));
            }
            BitmapCopy.To to = bitmaps.to(made.image());
            copy(source, made, options, interruption);
            to.run();
            made.keep();
        }
    }

    private void copy(Gate source, Target made, CopyOptions options, Interruption interruption)
            throws IOException {
        long bytes = source.size();
        DeviceCopy copy =
                new DeviceCopy(source, copying.sink(made.gate(), options), bytes, options);
        interruption.stops(() -> copy.cancel(new BlockException(Kind.GONE, "it was interrupted")));
        try (TerminalProgress shown =
                TerminalProgress.start(telling.progress(), copy::doneBytes, bytes)) {
            copy.run();
            shown.complete();
        }
    }
}
