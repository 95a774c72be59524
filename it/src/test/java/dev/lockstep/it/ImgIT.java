package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// `lockstep img` beside qemu-img: what one makes the other understands, and both say the same of
/// the same images.
class ImgIT {
    private static final int SIZE = 8 << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "-f qcow2 IMAGE 10M",
                "-f qcow2 -o cluster_size=4k,compat=0.10,preallocation=metadata IMAGE 1M",
                "-f qcow2 -o extended_l2=on,refcount_bits=1,lazy_refcounts=on IMAGE 1T",
                "-f qcow2 -o compression_type=zstd -o cluster_size=2M IMAGE 1.5G",
                "-f qcow2 -o size=3M,preallocation=falloc IMAGE",
                "-f qcow2 -b base.raw -F raw IMAGE",
                "-f qcow2 -u -b nowhere -F raw IMAGE 1M",
                "-f qcow2 -b base.raw -F raw IMAGE 80M",
                "-f qcow2 -o data_file=data,data_file_raw=on IMAGE 2M",
                "-f raw IMAGE 1000",
                "-f raw -o preallocation=falloc IMAGE 1M",
                "IMAGE 0"
            })
    void create_makes_and_says_what_qemu_img_does(String arguments) throws IOException {
        makeBase();
        Peer.Result theirs = qemuImg("create " + arguments.replace("IMAGE", "theirs"));
        Peer.Result ours = img("create " + arguments.replace("IMAGE", "ours"));
        assertEquals(0, ours.exit(), ours.errors());
        assertEquals(theirs.output().replace("theirs", "ours"), ours.output());
        String theirInfo = qemuImg("info --output=json theirs").output().replace("theirs", "ours");
        String ourInfo = qemuImg("info --output=json ours").output();
        assertEquals(
                theirInfo.replaceAll("\"actual-size\": \\d+", ""),
                ourInfo.replaceAll("\"actual-size\": \\d+", ""));
        if (arguments.contains("qcow2") && !arguments.contains("nowhere")) {
            qemuImg("check ours").expectSuccess();
            qemuImg("compare theirs ours").expectSuccess();
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "create -f qcow2 ours",
                "create -f foo ours 1M",
                "create -f qcow2 ours abc",
                "create -f qcow2 -o foo=1 ours 1M",
                "create -f qcow2 -b nowhere -F raw ours",
                "create -f qcow2 -b base.raw ours",
                "create -f raw -b base.raw -F raw ours",
                "create -f qcow2 -o cluster_size=3k ours 1M",
                "create -f qcow2 nowhere/ours 1M",
                "info nowhere",
                "info -f qcow2 base.raw",
                "map nowhere",
                "check nowhere",
                "convert base.raw",
                "convert -c -O raw base.raw ours",
                "convert -S 1000 base.raw ours",
                "convert -m 17 base.raw ours",
                "convert -O foo base.raw ours",
                "convert -n -O raw base.raw nowhere",
                "convert -O raw base.raw nowhere/ours",
                "convert --target-is-zero base.raw ours",
                "convert -B base.raw -F raw -O raw base.raw ours",
                "resize -f raw base.raw 1M",
                "resize -f raw base.raw abc"
            })
    void what_qemu_img_refuses_is_refused_in_one_sentence(String arguments) throws IOException {
        makeBase();
        byte[] before = Files.readAllBytes(folder.resolve("base.raw"));
        assertNotEquals(0, qemuImg(arguments).exit());
        Files.deleteIfExists(folder.resolve("ours"));
        img(arguments).expectOneSentence();
        assertArrayEquals(before, Files.readAllBytes(folder.resolve("base.raw")));
        assertFalse(Files.exists(folder.resolve("ours")));
    }

    @Test
    void everything_that_is_told_of_a_chain_is_what_qemu_img_tells() throws IOException {
        makeBase();
        qemuImg("create -q -f qcow2 -b base.raw -F raw middle.qcow2").expectSuccess();
        qemuImg(
                        "create -q -f qcow2 -b middle.qcow2 -F qcow2 -o extended_l2=on,cluster_size=128k"
                                + " top.qcow2 20M")
                .expectSuccess();
        qemuIo("middle.qcow2", "write -P 3 3M 100k", "write -z 5M 64k");
        qemuIo("top.qcow2", "write -P 9 64k 64k", "write -z 1M 128k", "write -P 7 10M 256k");
        qemuImg("snapshot -c one top.qcow2").expectSuccess();
        qemuImg("bitmap --add top.qcow2 bitmap0").expectSuccess();
        for (String file : List.of("base.raw", "middle.qcow2", "top.qcow2")) {
            assertSame("info", file);
            assertSame("info --backing-chain", file);
            assertSameJson("info --output=json", file);
            assertSameJson("info --output=json --backing-chain", file);
            assertSame("map", file);
            assertSameJson("map --output=json", file);
            assertSameJson("map --output=json --start-offset=1M --max-length=3M", file);
            assertSame("check", file);
            assertSameJson("check --output=json", file);
        }
    }

    @Test
    void a_damaged_image_is_judged_and_repaired_as_qemu_img_does() throws IOException {
        makeBase();
        qemuImg("convert -f raw -O qcow2 base.raw sound.qcow2").expectSuccess();
        Files.copy(folder.resolve("sound.qcow2"), folder.resolve("leak.qcow2"));
        try (RandomAccessFile file =
                new RandomAccessFile(folder.resolve("leak.qcow2").toFile(), "rw")) {
            long refcounts = firstRefcountBlock(file);
            long leaked = file.length() >> 16;
            file.setLength(file.length() + (1 << 16));
            file.seek(refcounts + 2 * leaked);
            file.writeShort(1);
        }
        Files.copy(folder.resolve("sound.qcow2"), folder.resolve("corrupt.qcow2"));
        try (RandomAccessFile file =
                new RandomAccessFile(folder.resolve("corrupt.qcow2").toFile(), "rw")) {
            file.seek(firstRefcountBlock(file) + 2 * 6);
            file.writeShort(0);
        }
        for (String image : List.of("sound", "leak", "corrupt")) {
            assertSame("check", image + ".qcow2");
            assertSameJson("check --output=json", image + ".qcow2");
            assertEquals(0, img("check -q -r all %s.qcow2".formatted(image)).exit());
            qemuImg("check %s.qcow2".formatted(image)).expectSuccess();
            qemuImg("compare sound.qcow2 %s.qcow2".formatted(image)).expectSuccess();
        }
        assertEquals(63, img("check -f raw base.raw").exit());
    }

    private static long firstRefcountBlock(RandomAccessFile file) throws IOException {
        file.seek(48);
        file.seek(file.readLong());
        return file.readLong();
    }

    @Test
    void snapshots_are_made_applied_and_deleted_and_qemu_img_finds_them() throws IOException {
        makeBase();
        qemuImg("convert -f raw -O qcow2 base.raw disk.qcow2").expectSuccess();
        img("snapshot -c ours disk.qcow2").expectSuccess();
        qemuIo("disk.qcow2", "write -P 9 1M 200k");
        qemuImg("snapshot -c theirs disk.qcow2").expectSuccess();
        assertSame("snapshot -l", "disk.qcow2");
        img("snapshot -a ours disk.qcow2").expectSuccess();
        qemuImg("compare base.raw disk.qcow2").expectSuccess();
        img("snapshot -d ours disk.qcow2").expectSuccess();
        img("snapshot -d theirs disk.qcow2").expectSuccess();
        qemuImg("check disk.qcow2").expectSuccess();
        qemuImg("compare base.raw disk.qcow2").expectSuccess();
        img("snapshot -a ours disk.qcow2").expectOneSentence();
    }

    @Test
    void compare_has_qemu_imgs_sentences_and_statuses() throws IOException {
        makeBase();
        byte[] base = Files.readAllBytes(folder.resolve("base.raw"));
        Files.write(folder.resolve("same"), base);
        Files.write(folder.resolve("longer"), Arrays.copyOf(base, SIZE + 4096));
        byte[] other = base.clone();
        other[SIZE / 2 + 1000]++;
        Files.write(folder.resolve("other"), other);
        byte[] tail = Arrays.copyOf(base, SIZE + 4096);
        tail[SIZE + 700] = 1;
        Files.write(folder.resolve("tail"), tail);
        qemuImg("convert -f raw -O qcow2 base.raw image").expectSuccess();
        for (String second : List.of("same", "longer", "other", "tail", "image", "nowhere")) {
            for (String options : List.of("", "-q", "-p")) {
                String arguments = "compare %s -f raw base.raw %s".formatted(options, second);
                Peer.Result theirs = qemuImg(arguments);
                Peer.Result ours = img(arguments);
                // Progress is for terminals only.
                assertEquals(
                        theirs.output().replaceAll("\\(.*%\\)|\\s", ""),
                        ours.output().replaceAll("\\s", ""),
                        arguments);
                assertEquals(theirs.exit(), ours.exit(), arguments);
            }
        }
        assertEquals(0, img("compare -s base.raw base.raw").exit());
        assertEquals(1, img("compare -s longer base.raw").exit());
        assertEquals(1, img("compare -s image base.raw").exit());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "-o cluster_size=512",
                "-o cluster_size=2M",
                "-o extended_l2=on",
                "-o compat=0.10",
                "-o refcount_bits=64,lazy_refcounts=on",
                "-o preallocation=metadata",
                "-o data_file=data",
                "-S 0",
                "-S 64k",
                "-m 1 -W",
                "-t writethrough -T none"
            })
    void an_image_goes_to_qcow2_and_back_with_every_byte(String options) throws IOException {
        long seed = System.nanoTime();
        System.out.println("ImgIT seed " + seed);
        makeSparse(new Random(seed), "source");
        img("convert %s -f raw -O qcow2 source ours".formatted(options)).expectSuccess();
        qemuImg("check ours").expectSuccess();
        qemuImg("compare -f raw source ours").expectSuccess();
        img("convert -O raw ours back").expectSuccess();
        assertArrayEquals(bytes("source"), bytes("back"));
        qemuImg("convert -f raw -O qcow2 source theirs").expectSuccess();
        img("convert -O raw theirs back").expectSuccess();
        assertArrayEquals(bytes("source"), bytes("back"));
        img("compare theirs ours").expectSuccess();
    }

    @Test
    void several_sources_become_one_image() throws IOException {
        makeSparse(new Random(1), "one");
        makeSparse(new Random(2), "two");
        qemuImg("convert -f raw -O qcow2 two two.qcow2").expectSuccess();
        img("convert -O qcow2 one two.qcow2 one ours").expectSuccess();
        qemuImg("convert -O raw one two.qcow2 one theirs").expectSuccess();
        qemuImg("compare theirs ours").expectSuccess();
    }

    @Test
    void only_what_lies_above_the_backing_file_is_copied() throws IOException {
        makeSparse(new Random(3), "base");
        for (String command :
                List.of(
                        "create -q -f qcow2 -b base -F raw top",
                        "create -q -f qcow2 -b base -F raw empty")) {
            qemuImg(command).expectSuccess();
        }
        qemuIo("top", "write -P 9 64k 128k", "write -z 1M 1M");
        img("convert -O qcow2 -B base -F raw top ours").expectSuccess();
        img("convert -O qcow2 -B base -F raw empty nothing").expectSuccess();
        qemuImg("compare top ours").expectSuccess();
        qemuImg("compare -s top ours").expectSuccess();
        assertTrue(Files.size(folder.resolve("nothing")) < 1 << 20, "the backing file was copied");
    }

    @Test
    void servers_are_sources_and_targets() throws IOException {
        makeSparse(new Random(4), "source");
        try (ToolServer server =
                ToolServer.start(folder, "", "nbdkit", "-f", "-U", "SOCKET", "memory", "8M")) {
            img("convert", "-n", "-f", "raw", "-O", "raw", "source", server.uri()).expectSuccess();
            img("compare", "-f", "raw", "-F", "raw", "source", server.uri()).expectSuccess();
            img("convert", "-f", "raw", "-O", "qcow2", server.uri(), "ours").expectSuccess();
            qemuImg("compare -f raw source ours").expectSuccess();
        }
    }

    @Test
    void a_sparse_tebibyte_costs_what_its_data_costs() throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(path("huge").toFile(), "rw")) {
            file.setLength(1L << 40);
            file.seek((1L << 40) - 4096);
            file.write(new byte[] {1, 2, 3});
        }
        img("convert -f raw -O qcow2 huge image").expectSuccess();
        img("check image").expectSuccess();
        img("convert -O raw image back").expectSuccess();
        img("compare back image").expectSuccess();
        assertEquals(1L << 40, Files.size(path("back")));
    }

    @Test
    void resize_grows_and_shrinks() throws IOException {
        makeBase();
        img("create -q -f qcow2 image 1M").expectSuccess();
        img("resize image 8M").expectSuccess();
        img("resize -q image +1M").expectSuccess();
        assertTrue(img("info image").output().contains("(9437184 bytes)"));
        qemuImg("check image").expectSuccess();
        assertEquals("Image resized.\n", img("resize -f raw base.raw 9M").expectSuccess().output());
        assertEquals("", img("resize -q -f raw base.raw +1M").expectSuccess().output());
        assertEquals(10 << 20, Files.size(path("base.raw")));
        img("resize -f raw --shrink base.raw 1M").expectSuccess();
        assertEquals(1 << 20, Files.size(path("base.raw")));
    }

    private Path path(String name) {
        return folder.resolve(name);
    }

    private byte[] bytes(String name) throws IOException {
        return Files.readAllBytes(path(name));
    }

    /// A raw image with data in its first and its fifth MiB.
    private void makeBase() throws IOException {
        byte[] data = new byte[1 << 20];
        Arrays.fill(data, (byte) 5);
        try (RandomAccessFile file = new RandomAccessFile(path("base.raw").toFile(), "rw")) {
            file.setLength(SIZE);
            file.write(data);
            file.seek(4 << 20);
            file.write(data, 0, 64 << 10);
        }
    }

    /// A raw image with data here and there, some of which is zeroes.
    private void makeSparse(Random random, String name) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(path(name).toFile(), "rw")) {
            file.setLength(SIZE);
            for (int i = 0; i < 20; i++) {
                byte[] data = new byte[1 + random.nextInt(200_000)];
                random.nextBytes(data);
                Arrays.fill(data, data.length / 3, data.length / 2, (byte) 0);
                file.seek(random.nextInt(SIZE - data.length));
                file.write(data);
            }
        }
    }

    private void qemuIo(String image, String... commands) {
        List<String> words = new ArrayList<>(List.of("qemu-io"));
        for (String command : commands) {
            words.addAll(List.of("-c", command));
        }
        words.add(path(image).toString());
        Peer.run(words.toArray(String[]::new)).expectSuccess();
    }

    private void assertSame(String command, String file) {
        String arguments = command + " " + file;
        Peer.Result theirs = qemuImg(arguments);
        Peer.Result ours = img(arguments);
        assertEquals(theirs.output(), ours.output(), arguments + ": " + ours.errors());
        assertEquals(theirs.exit(), ours.exit(), arguments);
    }

    private void assertSameJson(String command, String file) throws IOException {
        String arguments = command + " " + file;
        Peer.Result theirs = qemuImg(arguments);
        Peer.Result ours = img(arguments);
        assertEquals(JSON.readTree(theirs.output()), JSON.readTree(ours.output()), arguments);
        assertEquals(theirs.exit(), ours.exit(), arguments);
    }

    private Peer.Result qemuImg(String arguments) {
        List<String> words = new ArrayList<>(List.of("qemu-img"));
        words.addAll(List.of(arguments.split(" +")));
        return Peer.run(new ProcessBuilder(words).directory(folder.toFile()), Lockstep.RUN_LIMIT);
    }

    private Peer.Result img(String arguments) {
        return img(arguments.split(" +"));
    }

    private Peer.Result img(String... arguments) {
        List<String> words = new ArrayList<>(List.of("img"));
        words.addAll(List.of(arguments));
        return Lockstep.runIn(folder, words.toArray(String[]::new));
    }
}
