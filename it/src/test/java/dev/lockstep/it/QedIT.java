package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// QED images in our tools and in qemu's: what one makes, writes or serves, the other understands.
class QedIT {
    @TempDir private Path folder;

    @Test
    void what_ours_makes_serves_and_tells_is_what_qemu_makes_and_tells() throws IOException {
        byte[] bytes = new byte[3 << 20];
        new Random(5).nextBytes(bytes);
        Files.write(folder.resolve("base.raw"), bytes);

        String arguments = "create -f qed -o cluster_size=8k,table_size=8 -b base.raw -F raw ";
        Peer.Result theirs = qemuImg(arguments + "theirs 10M");
        assertEquals(
                theirs.expectSuccess().output().replace("theirs", "ours"),
                img(arguments + "ours 10M").expectSuccess().output());
        assertEquals(
                told(qemuImg("info --output=json theirs")).replace("theirs", "ours"),
                told(qemuImg("info --output=json ours")));

        img("convert -O qed base.raw copy").expectSuccess();
        qemuImg("compare base.raw copy").expectSuccess();
        assertEquals(qemuImg("map copy").output(), img("map copy").output());
        assertEquals(qemuImg("check copy").output(), img("check copy").output());

        String socket = folder.resolve("ours.sock").toString();
        try (Lockstep server =
                Lockstep.start(
                        "nbd", "-f", "qed", "-k", socket, folder.resolve("ours").toString())) {
            Peer.run(
                            "qemu-io",
                            "-f",
                            "raw",
                            "-c",
                            "write -P 9 100 5000",
                            "-c",
                            "write -z -u 1M 64k",
                            "-c",
                            "read -P 9 100 5000",
                            "nbd+unix:///?socket=" + socket)
                    .expectSuccess();
            assertEquals(0, server.await());
        }
        qemuImg("check ours").expectSuccess();
        assertEquals(told(qemuImg("info ours")), told(img("info ours")));
        Peer.run(
                        "qemu-io",
                        "-f",
                        "qed",
                        "-c",
                        "read -P 9 100 5000",
                        "-c",
                        "read -P 0 1M 64k",
                        "-c",
                        "read -P 0 3M 7M",
                        folder.resolve("ours").toString())
                .expectSuccess();
    }

    /// What is said of an image, but for the space that it takes.
    private static String told(Peer.Result result) {
        return result.expectSuccess().output().replaceAll("(actual-size\":|disk size:).*", "");
    }

    private Peer.Result img(String arguments) {
        return Lockstep.runIn(folder, words("img", arguments));
    }

    private Peer.Result qemuImg(String arguments) throws IOException {
        return Peer.run(
                new ProcessBuilder(words("qemu-img", arguments)).directory(folder.toFile()),
                Lockstep.RUN_LIMIT);
    }

    private static String[] words(String program, String arguments) {
        List<String> words = new ArrayList<>(List.of(program));
        words.addAll(List.of(arguments.split(" ")));
        return words.toArray(String[]::new);
    }
}
