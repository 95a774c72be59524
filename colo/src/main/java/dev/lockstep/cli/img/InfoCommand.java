package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ArrayNode;

import dev.lockstep.block.BlockException;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/// `lockstep img info`.
@Command(
        name = "info",
        description = {
            "Tell what an image is: its format, its length, the space it takes, its backing file and"
                    + " its snapshots.",
            "",
            "Only the image's header is looked at, so that it works without the backing file."
        },
        footer = {"", "Example:", "  lockstep img info --output=json --backing-chain disk.qcow2"})
final class InfoCommand implements Callable<Integer> {
    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "--output", paramLabel = "FORM", description = "human (the default) or json.")
    private OutputForm output = OutputForm.HUMAN;

    @Option(names = "--backing-chain", description = "Tell of the images below it as well.")
    private boolean chain;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image.")
    private boolean forceShare;

    @Override
    public Integer call() throws IOException {
        List<ImageFacts> images = images();
        if (output == OutputForm.HUMAN) {
            System.out.print(
                    images.stream().map(ImageFacts::text).collect(Collectors.joining("\n")));
        } else if (chain) {
            ArrayNode list = Json.array();
            images.forEach(each -> list.add(each.json()));
            System.out.print(JsonOutput.of(list));
        } else {
            System.out.print(JsonOutput.of(images.getFirst().json()));
        }
        return 0;
    }

    private List<ImageFacts> images() throws BlockException {
        ImageSpec spec = image.spec();
        return chain
                ? ImageFacts.chain(spec, forceShare)
                : List.of(ImageFacts.of(spec, forceShare));
    }
}
