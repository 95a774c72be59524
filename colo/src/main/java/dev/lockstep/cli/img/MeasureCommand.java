package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.image.OpenImage;
import dev.lockstep.image.UserObjects;
import dev.lockstep.qmp.Json;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep img measure`.
@Command(
        name = "measure",
        description = {
            "Tell how much space a new image will take, empty or as a copy of FILE: at first, and when"
                    + " all of it was written to.",
            "",
            "The copy is not larger than that. It may be smaller."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img measure -O qcow2 --size 20G",
            "  lockstep img measure -O qcow2 --output=json disk.raw"
        })
final class MeasureCommand implements Callable<Integer> {
    @Mixin private ImageArguments image = new ImageArguments();

    @Option(names = "--output", paramLabel = "FORM", description = "human (the default) or json.")
    private OutputForm output = OutputForm.HUMAN;

    @Option(
            names = "-O",
            paramLabel = "FMT",
            description = "The new image's format: qcow2, or raw (the default).")
    private String format = "raw";

    @Option(
            names = "-o",
            paramLabel = "OPTIONS",
            description = "Options of the new image's format, as for 'create'.")
    private List<String> options = List.of();

    @Option(names = "--size", paramLabel = "SIZE", description = "The length of an empty image.")
    private @Nullable String size;

    @Option(
            names = "-l",
            paramLabel = "SNAPSHOT",
            description = "Take FILE as it was at a snapshot inside it.")
    private @Nullable String snapshot;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to FILE.")
    private boolean forceShare;

    @Parameters(index = "0", arity = "0..1", paramLabel = "FILE", description = "What is copied.")
    private @Nullable String file;

    @Override
    public Integer call() throws IOException {
        if ((size == null) == (file == null)) {
            throw new BlockException(Kind.INVALID, "say either --size SIZE or one FILE");
        }
        tell(file == null ? ofEmpty(Sizes.parse("--size", String.valueOf(size))) : ofCopy(file));
        return 0;
    }

    private Measure ofEmpty(long bytes) throws IOException {
        return Measure.ofEmpty(target(bytes));
    }

    private Measure ofCopy(String source) throws IOException {
        try (OpenImage opened =
                Images.openToRead(image.spec(source), snapshot, "writeback", forceShare)) {
            long bytes = opened.image().device().size();
            return Measure.ofCopy(opened, target(bytes));
        }
    }

    /// The backing file is not looked at.
    private NewImage target(long bytes) throws IOException {
        return NewImage.of(
                new NewImage.Request(format, options, bytes, null, null),
                new NewBacking("measured", true, UserObjects.NONE));
    }

    private void tell(Measure measure) {
        if (output == OutputForm.JSON) {
            ObjectNode json = Json.object();
            if (measure.bitmaps() >= 0) {
                json.put("bitmaps", measure.bitmaps());
            }
            json.put("required", measure.required());
            json.put("fully-allocated", measure.fullyAllocated());
            System.out.print(JsonOutput.of(json));
            return;
        }
        System.out.println("required size: " + measure.required());
        System.out.println("fully allocated size: " + measure.fullyAllocated());
        if (measure.bitmaps() >= 0) {
            System.out.println("bitmaps size: " + measure.bitmaps());
        }
    }
}
