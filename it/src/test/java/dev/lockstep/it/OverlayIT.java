package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The overlay format with every tool that opens images, and with a server that is killed.
class OverlayIT {
    @TempDir Path folder;

    @Test
    void an_overlay_is_made_written_served_killed_checked_committed_and_moved() throws Exception {
        String base = path("base.raw");
        String map = path("top.map");
        tool("qemu-img", "create", "-q", "-f", "raw", base, "16M");
        tool("qemu-io", "-f", "raw", "-c", "write -q -P 7 0 2M", base);
        Lockstep.succeed(
                "img", "create", "-q", "-f", "overlay", "-b", "base.raw", "-F", "raw", map);
        Lockstep.succeed("io", "-c", "write -P 1 1M 1M", "-c", "write -z 0 64k", map);
        String uri = "nbd+unix:///?socket=" + path("s");
        try (Lockstep server = Lockstep.start("nbd", "-t", "-k", path("s"), map)) {
            tool("qemu-io", "-f", "raw", "-c", "write -q -P 9 8M 3k", "-c", "flush", uri);
            server.kill9();
        }
        assertHolds("overlay", map);
        assertTrue(Lockstep.succeed("img", "info", map).contains("file format: overlay"));
        assertTrue(Lockstep.succeed("img", "check", map).contains("18/256 = 7.03% allocated"));
        assertTrue(
                Lockstep.succeed("img", "map", map).matches("(?s).*0x800000 [^\n]*top.map.data.*"));
        tool("cp", base, path("before.raw"));
        Lockstep.succeed("img", "commit", "-q", map);
        assertHolds("raw", base);
        Lockstep.succeed("img", "rebase", "-u", "-b", "before.raw", "-F", "raw", map);
        assertEquals(
                -1,
                Files.mismatch(Path.of(path("before.raw")), converted(map)),
                "it holds nothing any more, and shows another image");
        damage(Path.of(map));
        assertEquals(2, Lockstep.run("img", "check", map).exit());
    }

    private static void damage(Path map) throws IOException {
        byte[] bytes = Files.readAllBytes(map);
        bytes[8192 + 100]++;
        Files.write(map, bytes);
    }

    private static void assertHolds(String format, String image) {
        Lockstep.succeed(
                "io",
                "-r",
                "-f",
                format,
                "-c",
                "read -P 0 0 64k",
                "-c",
                "read -P 7 64k 960k",
                "-c",
                "read -P 1 1M 1M",
                "-c",
                "read -P 9 8M 3k",
                image);
    }

    private Path converted(String image) {
        Lockstep.succeed("img", "convert", "-O", "raw", image, path("out.raw"));
        return Path.of(path("out.raw"));
    }

    private String path(String name) {
        return folder.resolve(name).toString();
    }

    private static void tool(String... command) {
        Peer.run(command).expectSuccess();
    }
}
