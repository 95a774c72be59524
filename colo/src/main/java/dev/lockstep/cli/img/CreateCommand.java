package dev.lockstep.cli.img;

import dev.lockstep.image.UserObjects;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep img create`.
@Command(
        name = "create",
        description = {
            "Make an image. A file that is there is replaced.",
            "",
            "With a backing file, SIZE may be left out. '-o help' lists a format's options."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img create -f qcow2 disk.qcow2 20G",
            "  lockstep img create -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2",
            "  lockstep img create -f overlay -b disk.vhd -F raw disk.map"
        })
final class CreateCommand implements Callable<Integer> {
    @Mixin private ObjectArguments objects = new ObjectArguments();

    @Option(
            names = "-f",
            paramLabel = "FMT",
            description = "The format: qcow2, qed, overlay, or raw (the default).")
    private String format = "raw";

    @Option(
            names = "-o",
            paramLabel = "OPTIONS",
            description = "Options of the format, as in cluster_size=128k,lazy_refcounts=on.")
    private List<String> options = List.of();

    @Option(
            names = "-b",
            paramLabel = "FILE",
            description = "What the image has where nothing was written to it.")
    private @Nullable String backing;

    @Option(names = "-F", paramLabel = "FMT", description = "The backing file's format.")
    private @Nullable String backingFormat;

    @Option(names = "-u", description = "Do not look at the backing file.")
    private boolean unsafe;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    @Parameters(index = "0", arity = "0..1", paramLabel = "FILE", description = "The image.")
    private @Nullable String file;

    @Parameters(index = "1", arity = "0..1", paramLabel = "SIZE", description = "Its length.")
    private @Nullable String size;

    @Override
    public Integer call() throws IOException {
        long bytes = size == null ? -1 : Sizes.parse("SIZE", size);
        NewImage.Request request =
                new NewImage.Request(format, options, bytes, backing, backingFormat);
        UserObjects defined = objects.objects();
        if (request.isHelp()) {
            System.out.print(NewImage.help(format));
            return 0;
        }
        if (file == null) {
            throw new IOException("say which FILE to make");
        }
        NewImage image = NewImage.of(request, new NewBacking(file, unsafe, defined));
        if (!quiet) {
            System.out.println(image.announcement(file));
        }
        NewFile.make(image, file, "writeback");
        return 0;
    }
}
