package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep img map`.
@Command(
        name = "map",
        description = {
            "Tell what an image is made of, and in which file each part of it lies.",
            "",
            "The form human lists data alone; json also tells of zeroes and of what no file has."
        },
        footer = {"", "Example:", "  lockstep img map --output=json disk.qcow2"})
final class MapCommand implements Callable<Integer> {
    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "--output", paramLabel = "FORM", description = "human (the default) or json.")
    private OutputForm output = OutputForm.HUMAN;

    @Option(
            names = {"-s", "--start-offset"},
            paramLabel = "BYTES",
            description = "Begin there.")
    private String start = "0";

    @Option(
            names = {"-l", "--max-length"},
            paramLabel = "BYTES",
            description = "Tell of no more than so many bytes.")
    private @Nullable String length;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image.")
    private boolean forceShare;

    @Override
    public Integer call() throws IOException {
        try (OpenImage opened = Images.openToRead(image.spec(), "writeback", forceShare)) {
            Gate gate = opened.connect(true);
            long from = Sizes.parse("--start-offset", start);
            long most = length == null ? Long.MAX_VALUE : Sizes.parse("--max-length", length);
            long end = from + Math.min(most, Math.max(0, gate.size() - from));
            ImageMap map = new ImageMap(opened, gate);
            if (output == OutputForm.JSON) {
                printJson(map, from, end);
            } else {
                printText(map, from, end);
            }
        }
        return 0;
    }

    private static void printJson(ImageMap map, long from, long end) throws BlockException {
        String opening = "[";
        for (long at = from; at < end; ) {
            ImageMap.Entry entry = map.entry(at, end);
            StringBuilder line = new StringBuilder(opening);
            line.append(
                    "{ \"start\": %d, \"length\": %d, \"depth\": %d, \"present\": %b"
                            .formatted(at, entry.length(), entry.depth(), entry.present()));
            line.append(", \"zero\": %b, \"data\": %b".formatted(entry.zero(), entry.data()));
            if (entry.position() >= 0) {
                line.append(", \"offset\": ").append(entry.position());
            }
            System.out.print(line.append('}'));
            opening = ",\n";
            at += entry.length();
        }
        System.out.println(opening.equals("[") ? "[]" : "]");
    }

    private static void printText(ImageMap map, long from, long end) throws BlockException {
        System.out.println(row("Offset", "Length", "Mapped to", "File"));
        for (long at = from; at < end; ) {
            ImageMap.Entry entry = map.entry(at, end);
            if (entry.data() && !entry.zero() && entry.position() < 0) {
                throw new BlockException(
                        Kind.UNSUPPORTED,
                        "what lies at 0x%x is compressed, so that it is in no file as it is: say"
                                        .formatted(at)
                                + " --output=json");
            }
            if (entry.data() && !entry.zero()) {
                System.out.println(
                        row(hex(at), hex(entry.length()), hex(entry.position()), entry.file()));
            }
            at += entry.length();
        }
    }

    private static String hex(long value) {
        return value == 0 ? "0" : "0x%x".formatted(value);
    }

    private static String row(String offset, String length, String position, String file) {
        return "%-16s%-16s%-16s%s".formatted(offset, length, position, file);
    }
}
