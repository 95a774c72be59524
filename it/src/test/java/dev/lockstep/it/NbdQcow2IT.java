package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// `lockstep nbd` on qcow2 images and their chains, beside qemu-nbd on the same.
class NbdQcow2IT {
    private static final int CHAINS = 4;
    private static final int LAYERS = 4;

    @TempDir Path folder;
    private String top = "";
    private String base = "";

    /// `top` over `sub/mid` over `base`, each with something of its own; the middle one has a
    /// snapshot and bitmaps.
    @BeforeEach
    void makeChain() throws IOException {
        Files.createDirectory(folder.resolve("sub"));
        base = folder.resolve("base").toString();
        top = folder.resolve("top").toString();
        String mid = folder.resolve("sub/mid").toString();
        qemuImg("create", "-f", "qcow2", base, "2M");
        qemuIo(base, "write -P 1 0 1M");
        qemuImg("create", "-f", "qcow2", "-b", "../base", "-F", "qcow2", mid);
        qemuIo(mid, "write -P 2 64k 64k");
        qemuImg("snapshot", "-c", "before", mid);
        qemuImg("bitmap", "--add", "-g", "32k", mid, "b0");
        qemuIo(mid, "write -P 3 256k 100k");
        qemuImg("create", "-f", "qcow2", "-b", "sub/mid", "-F", "qcow2", top);
        qemuIo(top, "write -P 4 512k 64k", "write -z 640k 64k");
    }

    @Test
    void every_way_to_name_a_chain_serves_what_qemu_nbd_serves() throws IOException {
        String mid = folder.resolve("sub/mid").toString();
        same("-r", "-f", "qcow2", "-A", top);
        same("-r", "-A", top);
        same("-f", "qcow2", top);
        same("-r", "-A", "-s", top);
        same("-r", "-f", "raw", top);
        same("-r", "--image-opts", "driver=qcow2,file.filename=" + top);
        same("-r", "--image-opts", "file.filename=%s,backing.l2-cache-size=1M".formatted(top));
        same(
                "-r",
                "-A",
                "--image-opts",
                "driver=qcow2,file.filename=%s,backing.driver=qcow2,backing.file.filename=%s"
                        .formatted(top, base));
        same(
                "-r",
                "-A",
                "json:{'driver':'qcow2','file.filename':'%s','backing':null}"
                        .formatted(top)
                        .replace('\'', '"'));
        for (String snapshot :
                List.of(
                        "before",
                        "1",
                        "snapshot.name=before",
                        "snapshot.id=1,snapshot.name=before")) {
            same("-l", snapshot, mid);
        }
        same("-r", "-B", "b0", mid);
        same("-r", "-A", "-B", "b0", top);
    }

    /// What lies beyond the end of a layer that is too short counts as that layer's.
    @Test
    void layers_of_any_length_are_told_of_as_by_qemu_nbd_and_qemu_img_map() throws IOException {
        long seed = Long.getLong("seed", System.nanoTime());
        System.out.println("layers of any length: seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < CHAINS; round++) {
            String image = makeLayers("chain%d-".formatted(round), random);
            sameMaps("-r", "-A", "-f", "qcow2", image);
            String[] map = {"map", "--output=json", "-f", "qcow2", image};
            assertEquals(
                    Peer.run(command("qemu-img", map)).expectSuccess().output(),
                    Lockstep.run(command("img", map)).expectSuccess().output());
        }
    }

    /// The name of the last one.
    private String makeLayers(String name, Random random) {
        String below = "";
        String format = random.nextBoolean() ? "raw" : "qcow2";
        for (int layer = 0; layer < LAYERS; layer++) {
            String image = folder.resolve(name + layer).toString();
            int clusters = 1 + random.nextInt(8);
            String own = layer == 0 ? format : "qcow2";
            String size = clusters * 64 + "k";
            if (layer == 0) {
                qemuImg("create", "-f", own, image, size);
            } else {
                String belows = layer == 1 ? format : "qcow2";
                qemuImg("create", "-f", own, "-b", below, "-F", belows, image, size);
            }
            // In a raw file, zeroes count as data or not by what of them is in the page cache.
            boolean zero = random.nextInt(3) == 0 && own.equals("qcow2");
            String verb = zero ? "write -z" : "write -P 5";
            qemuIoAs(own, image, verb + " %dk 64k".formatted(random.nextInt(clusters) * 64));
            below = image;
        }
        return below;
    }

    /// qemu-nbd tells of a window of a chain as if there were nothing below its top.
    @Test
    void a_window_of_a_chain_has_the_bytes_that_qemu_nbd_serves() throws IOException {
        sameBytes("-r", "-o", "65536", "-f", "qcow2", top);
        sameBytes(
                "-r",
                "--image-opts",
                "driver=raw,offset=64k,size=64k,file.driver=qcow2,file.file.filename=" + top);
    }

    @Test
    void what_is_written_is_in_the_image_and_in_its_bitmap() throws IOException {
        String mid = folder.resolve("sub/mid").toString();
        try (Lockstep ours = ours("-f", "qcow2", "-B", "b0", mid)) {
            Guest.run(ours.uri(), "write -P 9 1536k 1k", "write -z 0 64k", "flush");
            assertEquals(List.of("0+65536", "262144+131072", "1572864+32768"), dirty(ours.uri()));
            assertEquals(0, ours.terminate());
        }
        qemuImg("check", mid);
        qemuIo(mid, "read -P 9 1536k 1k", "read -P 0 0 64k", "read -P 1 128k 64k");
        try (ToolServer theirs = theirs("-r", "-B", "b0", mid)) {
            assertEquals(List.of("0+65536", "262144+131072", "1572864+32768"), dirty(theirs.uri()));
        }
    }

    @Test
    void a_snapshot_leaves_the_whole_chain_as_it_is() throws IOException {
        List<Path> files =
                Stream.of("top", "sub/mid", "base").map(name -> folder.resolve(name)).toList();
        List<byte[]> before = new ArrayList<>();
        for (Path file : files) {
            before.add(Files.readAllBytes(file));
        }
        try (Lockstep ours = ours("-s", top)) {
            Guest.run(ours.uri(), "write -P 7 0 2M", "read -P 7 0 2M");
            assertEquals(0, ours.terminate());
        }
        for (int index = 0; index < files.size(); index++) {
            assertArrayEquals(before.get(index), Files.readAllBytes(files.get(index)));
        }
    }

    @Test
    void what_cannot_be_served_is_one_sentence_where_qemu_nbd_fails_too() throws IOException {
        String missing = folder.resolve("missing").toString();
        qemuImg("create", "-u", "-f", "qcow2", "-b", "gone", "-F", "qcow2", missing, "1M");
        String vmdk = folder.resolve("x.vmdk").toString();
        qemuImg("create", "-f", "vmdk", vmdk, "1M");
        refused("cannot open the backing file 'gone' of " + missing, missing);
        refused("there is no snapshot 'none'", "-l", "none", top);
        refused("has a bitmap 'none'", "-B", "none", top);
        refused("no qcow2 image", "-f", "qcow2", vmdk);
        refused("'bogus'", "--image-opts", "driver=qcow2,bogus=1,file.filename=" + top);
        String loop = folder.resolve("loop").toString();
        qemuImg("create", "-u", "-f", "qcow2", "-b", "loop", "-F", "qcow2", loop, "1M");
        Lockstep.run("nbd", loop).expectOneSentence();
        String sentence = Lockstep.run("nbd", "-r", vmdk).expectOneSentence();
        assertTrue(sentence.contains("is a vmdk image, which is not supported"), sentence);
    }

    private void refused(String reason, String... options) {
        String sentence = Lockstep.run(command("nbd", options)).expectOneSentence();
        assertTrue(sentence.contains(reason), sentence);
        assertEquals(
                1, Peer.run(command("qemu-nbd", options)).exit(), () -> Arrays.toString(options));
    }

    /// Ours and theirs have the same bytes, and tell the same about them.
    private void same(String... options) throws IOException {
        sameMaps(options);
        sameBytes(options);
    }

    private void sameMaps(String... options) {
        List<String> contexts = new ArrayList<>(List.of("base:allocation"));
        if (List.of(options).contains("-A")) {
            contexts.add("qemu:allocation-depth");
        }
        if (List.of(options).contains("-B")) {
            contexts.add("qemu:dirty-bitmap:b0");
        }
        List<String> told;
        try (ToolServer theirs = theirs(options)) {
            told = maps(theirs.uri(), contexts);
        }
        try (Lockstep ours = ours(options)) {
            assertEquals(told, maps(ours.uri(), contexts), () -> Arrays.toString(options));
            assertEquals("", ours.errors());
        }
    }

    private void sameBytes(String... options) throws IOException {
        Path copy = folder.resolve("theirs.raw");
        Path mine = folder.resolve("ours.raw");
        try (ToolServer theirs = theirs(options)) {
            Peer.run("nbdcopy", theirs.uri(), copy.toString()).expectSuccess();
        }
        try (Lockstep ours = ours(options)) {
            Peer.run("nbdcopy", ours.uri(), mine.toString()).expectSuccess();
        }
        assertEquals(-1, Files.mismatch(copy, mine), () -> Arrays.toString(options));
    }

    private static List<String> maps(String uri, List<String> contexts) {
        return contexts.stream()
                .map(name -> Peer.run("nbdinfo", "--map=" + name, uri).expectSuccess().output())
                .toList();
    }

    private static List<String> dirty(String uri) {
        return maps(uri, List.of("qemu:dirty-bitmap:b0"))
                .getFirst()
                .lines()
                .map(line -> line.strip().split("\\s+"))
                .filter(words -> words[2].equals("1"))
                .map(words -> words[0] + "+" + words[1])
                .toList();
    }

    private Lockstep ours(String... options) {
        return Lockstep.start(command("nbd", with("-t", "-k", folder + "/ours.sock", options)));
    }

    private ToolServer theirs(String... options) {
        return ToolServer.start(
                folder, "", command("qemu-nbd", with("-t", "-k", "SOCKET", options)));
    }

    private static String[] with(String first, String second, String third, String... rest) {
        return Stream.concat(Stream.of(first, second, third), Stream.of(rest))
                .toArray(String[]::new);
    }

    private static String[] command(String name, String... options) {
        return Stream.concat(Stream.of(name), Stream.of(options)).toArray(String[]::new);
    }

    private static void qemuImg(String command, String... rest) {
        Peer.run(command("qemu-img", command(command, rest))).expectSuccess();
    }

    private static void qemuIo(String image, String... commands) {
        qemuIoAs("qcow2", image, commands);
    }

    private static void qemuIoAs(String format, String image, String... commands) {
        List<String> words = new ArrayList<>(List.of("qemu-io", "-f", format));
        for (String command : commands) {
            words.addAll(List.of("-c", command));
        }
        words.add(image);
        Peer.run(words.toArray(String[]::new)).expectSuccess();
    }
}
