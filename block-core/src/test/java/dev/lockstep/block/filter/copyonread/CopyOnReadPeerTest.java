package dev.lockstep.block.filter.copyonread;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Script.Kind;
import dev.lockstep.block.filter.Tree;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What ends up in the image on top is the same as with qemu, cluster for cluster.
class CopyOnReadPeerTest {
    private static final int DISK_BYTES = 512 << 10;
    private static final int CLUSTER_BYTES = 4096;

    private static final Pattern OWN_DATA =
            Pattern.compile(
                    "\"start\": (\\d+), \"length\": (\\d+), \"depth\": 0, .*\"data\": true");

    @TempDir Path folder;

    private final Random random = new Random(Seeds.next("CopyOnReadPeerTest"));

    private Path image(String name, String cluster, String... backing) throws Exception {
        Path image = folder.resolve(name);
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=" + cluster,
                image.toString(),
                Integer.toString(DISK_BYTES));
        if (backing.length > 0) {
            Host.run(
                    "qemu-img",
                    "rebase",
                    "-u",
                    "-f",
                    "qcow2",
                    "-F",
                    "qcow2",
                    "-b",
                    backing[0],
                    image.toString());
        }
        return image;
    }

    /// A chain of three, whose lower two have data in some places.
    private Path chain() throws Exception {
        List<Kind> kinds = List.of(Kind.WRITE, Kind.WRITE, Kind.ZERO);
        Path base = image("base", "4096");
        Script.random(random, kinds, 30, DISK_BYTES, 4096)
                .runByQemu("driver=qcow2,file.driver=file,file.filename=" + base);
        Path middle = image("middle", "8192", "base");
        Script.random(random, kinds, 10, DISK_BYTES, 4096)
                .runByQemu("driver=qcow2,file.driver=file,file.filename=" + middle);
        return image("top", "4096", "middle");
    }

    @Test
    void what_was_read_is_in_the_image_on_top_and_nothing_else() throws Exception {
        Path top = chain();
        Path other = folder.resolve("other");
        for (String bottom : List.of("", "bottom=middle,")) {
            Files.copy(top, other, StandardCopyOption.REPLACE_EXISTING);
            List<Kind> kinds = List.of(Kind.READ, Kind.READ, Kind.READ, Kind.WRITE);
            Script script = Script.random(random, kinds, 12, DISK_BYTES, 512);
            List<String> expected = script.runByQemu(copying(other, bottom));
            Path ours = folder.resolve("ours");
            Files.copy(top, ours, StandardCopyOption.REPLACE_EXISTING);
            try (Tree tree = Tree.of(copying(ours, bottom))) {
                assertEquals(expected, script.run(tree.gate()), script::toString);
            }
            assertEquals(data(other), data(ours), () -> bottom + script);
            Host.run("qemu-img", "compare", ours.toString(), other.toString());
            Host.run("qemu-img", "check", ours.toString());
        }
    }

    private static String copying(Path image, String bottom) {
        return "driver=copy-on-read,%sfile.driver=qcow2,file.backing.node-name=middle,file.file.driver=file,file.file.filename=%s"
                .formatted(bottom, image);
    }

    /// The clusters that the image on top has as data of its own, but for those that hold zeroes:
    /// of several that are copied at once, one copies them as data where one of them is no zero,
    /// and the other judges each by itself.
    private List<Integer> data(Path image) throws Exception {
        Path raw = folder.resolve("raw");
        Host.run("qemu-img", "convert", "-O", "raw", image.toString(), raw.toString());
        ByteBuffer content = ByteBuffer.wrap(Files.readAllBytes(raw));
        List<Integer> found = new ArrayList<>();
        Matcher own = OWN_DATA.matcher(Host.run("qemu-img", "map", "--output=json", image + ""));
        while (own.find()) {
            int start = Integer.parseInt(own.group(1));
            int end = start + Integer.parseInt(own.group(2));
            for (int at = start; at < end; at += CLUSTER_BYTES) {
                if (!content.slice(at, CLUSTER_BYTES).equals(ByteBuffer.allocate(CLUSTER_BYTES))) {
                    found.add(at);
                }
            }
        }
        return found;
    }
}
