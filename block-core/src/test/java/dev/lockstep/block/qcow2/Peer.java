package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.Extent;
import dev.lockstep.block.Host;
import dev.lockstep.block.Host.Outcome;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What qemu-img and qemu-io say of an image.
final class Peer {
    private static final Pattern MAP_ENTRY =
            Pattern.compile(
                    "\"start\": (\\d+), \"length\": (\\d+), \"depth\": (\\d+), .*\"data\": (\\w+)");

    /// What `qemu-img check` calls an image: nothing wrong, and only clusters that nobody uses.
    enum Health {
        CLEAN,
        LEAKS,
        CORRUPT
    }

    private Peer() {}

    /// Does the operations, in one process as far as that works: qemu 7.2 goes on filling the host
    /// cluster that it compressed into last even when that was freed and is used for something else
    /// by now, so it is started anew after each compressed write.
    static void apply(List<Operation> operations, Path image)
            throws IOException, InterruptedException {
        for (int next = 0; next < operations.size(); ) {
            List<String> command =
                    new ArrayList<>(List.of("qemu-io", "-d", "unmap", "-f", "qcow2"));
            boolean compressed = false;
            while (next < operations.size() && !compressed) {
                Operation operation = operations.get(next++);
                operation.commands().forEach(text -> command.addAll(List.of("-c", text)));
                compressed = operation.kind() == Operation.Kind.COMPRESSED;
            }
            command.add(image.toString());
            assertEquals("", Host.run(command.toArray(String[]::new)), "what qemu-io said");
        }
    }

    static Health check(Path image) throws IOException, InterruptedException {
        Outcome outcome = Host.outcome("qemu-img", "check", alone(image));
        return switch (outcome.status()) {
            case 0 -> Health.CLEAN;
            case 3 -> Health.LEAKS;
            case 2 -> Health.CORRUPT;
            default -> throw new AssertionError("qemu-img check: " + outcome.output());
        };
    }

    /// The image without what it is backed by, and with its data file whatever it calls that.
    private static String alone(Path image) {
        String data =
                Files.exists(Recipe.dataFile(image))
                        ? ",\"data-file\":" + file(Recipe.dataFile(image))
                        : "";
        return "json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":%s%s}"
                .formatted(file(image), data);
    }

    private static String file(Path path) {
        return "{\"driver\":\"file\",\"filename\":\"%s\"}".formatted(path);
    }

    /// Fails unless the image is clean, and says what is wrong with it.
    static void checkClean(String what, Path image) throws IOException, InterruptedException {
        Outcome outcome = Host.outcome("qemu-img", "check", alone(image));
        assertEquals(0, outcome.status(), () -> what + ": qemu-img check: " + outcome.output());
    }

    /// Repairs an image that is marked as dirty; fails unless it is clean afterwards.
    static void repair(Path image) throws IOException, InterruptedException {
        Outcome outcome = Host.outcome("qemu-img", "check", "-r", "all", alone(image));
        assertEquals(0, outcome.status(), () -> "qemu-img check -r all: " + outcome.output());
        checkClean("repaired", image);
    }

    /// Fails unless the guest finds the same in two images.
    static void compare(Path one, Path other) throws IOException, InterruptedException {
        Host.run(
                "qemu-img",
                "compare",
                "-f",
                "qcow2",
                "-F",
                "qcow2",
                one.toString(),
                other.toString());
    }

    /// Where the image has data and in which layer, as an extent each; everything else is zeroes.
    static List<Extent> data(Path image) throws IOException, InterruptedException {
        String json = Host.run("qemu-img", "map", "--output=json", "-f", "qcow2", image.toString());
        List<Extent> data = new ArrayList<>();
        for (String line : json.lines().toList()) {
            Matcher entry = MAP_ENTRY.matcher(line);
            if (entry.find() && Boolean.parseBoolean(entry.group(4))) {
                Extent extent =
                        new Extent(
                                Long.parseLong(entry.group(1)),
                                Long.parseLong(entry.group(2)),
                                Extent.Kind.DATA,
                                Integer.parseInt(entry.group(3)) + 1);
                append(data, extent);
            }
        }
        return data;
    }

    /// Adds an extent, to the last one if it continues that.
    static void append(List<Extent> extents, Extent extent) {
        Extent last = extents.isEmpty() ? null : extents.getLast();
        if (last != null && last.end() == extent.offset() && last.depth() == extent.depth()) {
            extents.removeLast();
            extents.add(
                    new Extent(
                            last.offset(),
                            last.length() + extent.length(),
                            last.kind(),
                            last.depth()));
        } else {
            extents.add(extent);
        }
    }
}
