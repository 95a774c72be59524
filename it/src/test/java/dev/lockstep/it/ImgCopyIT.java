package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// What copies images, and what tells of copies beforehand, beside qemu-img: `convert` with its
/// rarer options, `dd`, `measure` and `bench`.
class ImgCopyIT {
    private static final int SIZE = 6 << 20;
    private static final int ROUNDS = 6;
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir Path folder;

    private final Random random = random();

    private static Random random() {
        long seed = Long.getLong("seed", System.nanoTime());
        System.out.println("ImgCopyIT seed " + seed);
        return new Random(seed);
    }

    @Test
    void measure_has_qemu_imgs_numbers() throws IOException {
        makeSource("base", "cluster_size=" + (512 << random.nextInt(8)));
        qemuImg("bitmap --add -g 512 base one");
        qemuImg("bitmap --add base other");
        // What of it was never written counts as data or not by what of that is in the page cache.
        byte[] _ = Files.readAllBytes(path("base"));
        List<String> targets = new ArrayList<>(List.of("-O raw base", "-O qcow2 base"));
        for (int round = 0; round < ROUNDS; round++) {
            int bits = 9 + random.nextInt(13);
            boolean extended = bits >= 14 && random.nextBoolean();
            long most = 1L << (bits + 20);
            targets.add(
                    "-O qcow2 -o cluster_size=%d,extended_l2=%s,refcount_bits=%d,preallocation=%s %s"
                            .formatted(
                                    1 << bits,
                                    extended ? "on" : "off",
                                    1 << random.nextInt(7),
                                    random.nextBoolean() ? "off" : "full",
                                    random.nextBoolean()
                                            ? "base"
                                            : "--size " + (1 + random.nextLong(most))));
        }
        for (String target : targets) {
            String json = "measure --output=json " + target;
            assertEquals(JSON.readTree(qemuImg(json)), JSON.readTree(img(json)), json);
        }
        assertEquals(qemuImg("measure -O qcow2 base"), img("measure -O qcow2 base"));
    }

    @Test
    void dd_copies_what_its_operands_say() throws IOException {
        makeSource("source", "cluster_size=4096");
        img("convert source raw");
        byte[] disk = Files.readAllBytes(path("raw"));
        for (int round = 0; round < ROUNDS; round++) {
            int block = 1 + random.nextInt(100_000);
            int skip = random.nextInt(SIZE / block + 1);
            int count = random.nextInt(SIZE / block + 1);
            img("dd bs=%d skip=%d count=%d if=source of=part".formatted(block, skip, count));
            int start = skip * block;
            int end = (int) Math.min(SIZE, start + (long) count * block);
            byte[] part = Files.readAllBytes(path("part"));
            byte[] expected = Arrays.copyOfRange(disk, start, end);
            // A raw image is a multiple of 512 bytes.
            assertArrayEquals(Arrays.copyOf(expected, (expected.length + 511) & -512), part);
        }
        img("dd -O qcow2 bs=64k skip=10 if=source of=ours");
        qemuImg("dd -O qcow2 bs=64k skip=10 if=source of=theirs");
        qemuImg("compare ours theirs");
        run("dd bs=1M skip=7 if=source of=none").expectOneSentence();
        run("dd if=source of=none blocks=7").expectOneSentence();
        assertFalse(Files.exists(path("none")));
    }

    @Test
    void a_snapshot_is_copied_and_measured() throws IOException {
        makeSource("source", "cluster_size=65536");
        qemuImg("convert source before");
        qemuImg("snapshot -c one source");
        Peer.run("qemu-io", "-c", "write -P 9 0 3M", path("source").toString()).expectSuccess();
        for (String snapshot : List.of("one", "snapshot.id=1,snapshot.name=one")) {
            img("convert -l %s -O qcow2 source ours".formatted(snapshot));
            assertTrue(qemuImg("compare ours before").contains("identical"));
        }
        assertEquals(
                qemuImg("measure -l one -O qcow2 source"), img("measure -l one -O qcow2 source"));
        run("convert -l two source none").expectOneSentence();
        run("convert -l one source source none").expectOneSentence();
        run("convert -C -c -O qcow2 source none").expectOneSentence();
        assertFalse(Files.exists(path("none")));
    }

    @Test
    void bitmaps_are_copied_as_qemu_img_copies_them() throws IOException {
        makeSource("source", "cluster_size=65536");
        for (String bitmap : List.of("-g 512 --add source one", "--add --disable source two")) {
            qemuImg("bitmap " + bitmap);
        }
        int offset = 512 * random.nextInt(SIZE / 1024);
        String write = "write -P 9 %d 300k".formatted(offset);
        Peer.run("qemu-io", "-c", write, path("source").toString()).expectSuccess();
        qemuImg("bitmap --merge one source two");
        qemuImg("convert --bitmaps -O qcow2 source theirs");
        img("convert --bitmaps -O qcow2 source ours");
        qemuImg("check ours");
        assertEquals(bitmaps("theirs"), bitmaps("ours"));
        for (String bitmap : List.of("one", "two")) {
            assertEquals(marked("theirs", bitmap), marked("ours", bitmap));
        }
        run("convert --bitmaps -O raw source none").expectOneSentence();
        run("convert --bitmaps -O qcow2 source source none").expectOneSentence();
        run("convert --skip-broken-bitmaps -O qcow2 source none").expectOneSentence();
        assertFalse(Files.exists(path("none")));
    }

    private String bitmaps(String image) throws IOException {
        return JSON.readTree(qemuImg("info --output=json " + image))
                .at("/format-specific/data/bitmaps")
                .toString();
    }

    /// What a bitmap has, as a server tells.
    private String marked(String image, String bitmap) throws IOException {
        try (ToolServer server =
                ToolServer.start(
                        folder,
                        "",
                        "qemu-nbd",
                        "-r",
                        "-t",
                        "-k",
                        "SOCKET",
                        "-f",
                        "qcow2",
                        "-B",
                        bitmap,
                        path(image).toString())) {
            return Peer.run("nbdinfo", "--map=qemu:dirty-bitmap:" + bitmap, "--json", server.uri())
                    .expectSuccess()
                    .output();
        }
    }

    /// A server of a disk that has a byte which cannot be read.
    @Test
    void what_cannot_be_read_is_salvaged() throws IOException {
        byte[] disk = new byte[64 << 10];
        random.nextBytes(disk);
        Files.write(path("disk"), disk);
        String read =
                "pread=if [ $4 -le 5200 ] && [ $(($4+$3)) -gt 5200 ]; then echo EIO no >&2; exit 1;"
                        + " fi; dd if="
                        + path("disk")
                        + " skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none";
        try (ToolServer server =
                ToolServer.start(
                        folder,
                        "",
                        "nbdkit",
                        "-f",
                        "-U",
                        "SOCKET",
                        "eval",
                        "get_size=echo 64k",
                        read)) {
            String arguments = "-f raw %s ours".formatted(server.uri());
            run("convert " + arguments).expectOneSentence();
            assertFalse(Files.exists(path("ours")));
            Peer.Result salvaged = run("convert --salvage " + arguments).expectSuccess();
            assertTrue(salvaged.errors().contains("the bytes at 5120 are lost"), salvaged.errors());
        }
        Arrays.fill(disk, 5120, 5632, (byte) 0);
        assertArrayEquals(disk, Files.readAllBytes(path("ours")));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "-c 100 -s 8k IMAGE",
                "-c 40 -w -d 4 --flush-interval=10 --pattern=7 IMAGE",
                "-c 30 -w -d 3 --flush-interval=3 --no-drain -o 1M -S 100k IMAGE"
            })
    void bench_does_and_says_what_qemu_imgs_does(String arguments) throws IOException {
        makeSource("theirs", "cluster_size=65536");
        Files.copy(path("theirs"), path("ours"));
        String theirs = qemuImg("bench " + arguments.replace("IMAGE", "theirs"));
        String ours = img("bench " + arguments.replace("IMAGE", "ours"));
        assertEquals(
                theirs.replaceAll("\\d+\\.\\d{3}", "S"), ours.replaceAll("\\d+\\.\\d{3}", "S"));
        qemuImg("compare ours theirs");
    }

    @Test
    void an_interrupted_conversion_leaves_nothing() throws Exception {
        try (RandomAccessFile file = new RandomAccessFile(path("huge").toFile(), "rw")) {
            file.setLength(1L << 40);
        }
        String source = path("huge").toString();
        String target = path("ours").toString();
        Process converting =
                Lockstep.launch(
                        path("said"),
                        ("img convert -S 0 -r 50M -O qcow2 " + source + " " + target).split(" "));
        await().atMost(Duration.ofMinutes(1))
                .until(() -> Files.exists(path("ours")) && Files.size(path("ours")) > 1 << 20);
        Peer.run("kill", "-INT", Long.toString(converting.pid())).expectSuccess();
        assertEquals(130, converting.waitFor(), () -> said());
        assertFalse(Files.exists(path("ours")));
    }

    private String said() {
        try {
            return Files.readString(path("said"));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private Path path(String name) {
        return folder.resolve(name);
    }

    /// A qcow2 image with data, zeroes and nothing here and there.
    private void makeSource(String name, String options) {
        qemuImg("create -q -f qcow2 -o %s %s %d".formatted(options, name, SIZE));
        List<String> words = new ArrayList<>(List.of("qemu-io"));
        for (int i = 0; i < 12; i++) {
            int length = 512 * (1 + random.nextInt(600));
            int offset = 512 * random.nextInt((SIZE - length) / 512);
            String how = i % 3 == 0 ? "-z" : "-P " + (1 + random.nextInt(255));
            words.addAll(List.of("-c", "write %s %d %d".formatted(how, offset, length)));
        }
        words.add(path(name).toString());
        Peer.run(words.toArray(String[]::new)).expectSuccess();
    }

    private String qemuImg(String arguments) {
        List<String> words = new ArrayList<>(List.of("qemu-img"));
        words.addAll(List.of(arguments.split(" +")));
        ProcessBuilder builder = new ProcessBuilder(words).directory(folder.toFile());
        return Peer.run(builder, Lockstep.RUN_LIMIT).expectSuccess().output();
    }

    private String img(String arguments) {
        return run(arguments).expectSuccess().output();
    }

    private Peer.Result run(String arguments) {
        return Lockstep.runIn(folder, ("img " + arguments).split(" +"));
    }
}
