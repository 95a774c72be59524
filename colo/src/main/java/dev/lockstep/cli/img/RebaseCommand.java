package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.job.RebaseJob;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep img rebase`.
@Command(
        name = "rebase",
        description = {
            "Give an image another backing file.",
            "",
            "What is seen in the image stays the same: where the two backing files differ, the old"
                    + " one's bytes are copied into the image first. With -u only the name changes,"
                    + " which is for a backing file that was moved."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img rebase -b base.qcow2 -F qcow2 disk.qcow2",
            "  lockstep img rebase -b '' disk.qcow2",
            "  lockstep img rebase -u -b /new/place/base.qcow2 -F qcow2 disk.qcow2"
        })
final class RebaseCommand implements Callable<Integer> {
    @Mixin private ImageFile image = new ImageFile();

    @Option(
            names = "-b",
            paramLabel = "BACKING",
            description =
                    "The new backing file, relative to the image's folder; '' for none: the image"
                            + " stands alone then.")
    private @Nullable String backing;

    @Option(names = "-F", paramLabel = "FMT", description = "The new backing file's format.")
    private @Nullable String backingFormat;

    @Option(names = "-u", description = "Change the name alone, and look at no backing file.")
    private boolean unsafe;

    @Option(
            names = "-t",
            paramLabel = "CACHE",
            description = "The image's cache mode. Default: writeback.")
    private String cache = "writeback";

    @Option(
            names = "-T",
            paramLabel = "CACHE",
            description = "The new backing file's cache mode. Default: writeback.")
    private String sourceCache = "writeback";

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the new backing file.")
    private boolean forceShare;

    @Mixin private Telling telling = new Telling();

    @Override
    public Integer call() throws IOException {
        if (backing == null && !unsafe) {
            throw new BlockException(
                    Kind.INVALID, "Must specify backing file (-b) or use unsafe mode (-u)");
        }
        checkFormat();
        ImageSpec spec = image.spec();
        try (OpenImage opened =
                unsafe ? Images.openAlone(spec, cache) : Images.openToResize(spec, cache)) {
            opened.warnOfGuesses();
            if (!(opened.image().bare() instanceof Layer layer)) {
                throw refused("Operation not supported");
            }
            if (!unsafe) {
                copy(opened.connect(false));
            }
            layer.changeBacking(name(), name() == null ? null : backingFormat);
        }
        return 0;
    }

    private @Nullable String name() {
        return backing == null || backing.isEmpty() ? null : backing;
    }

    private void checkFormat() throws BlockException {
        if (name() != null && backingFormat == null) {
            throw refused("backing format must be specified");
        }
        if (backingFormat != null
                && !backingFormat.equals("raw")
                && !Images.isFormat(backingFormat)) {
            throw new BlockException(
                    Kind.INVALID, "Invalid format name: '%s'".formatted(backingFormat));
        }
    }

    private BlockException refused(String why) {
        return new BlockException(
                Kind.INVALID,
                "Could not change the backing file to '%s': %s".formatted(backing, why));
    }

    private void copy(Gate gate) throws IOException {
        String name = name();
        if (name == null) {
            JobRun.run(new RebaseJob(gate, null), telling.progress());
            return;
        }
        ImageSpec below =
                new ImageSpec(
                        ImageName.relativeTo(image.name(), name),
                        backingFormat,
                        false,
                        image.objects());
        try (OpenImage opened = Images.openToRead(below, sourceCache, forceShare)) {
            JobRun.run(new RebaseJob(gate, opened.connect(true)), telling.progress());
        }
    }
}
