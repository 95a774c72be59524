package dev.lockstep.block.qcow2.create;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.qcow2.layout.CompressionType;
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;

class Qcow2CreatorTest {
    private static final int ROUNDS = 60;
    private static final int SIZE_MAX = 8 << 20;

    @TempDir private Path directory;

    private Path path(String name) {
        return directory.resolve(name);
    }

    private void create(String name, CreateOptions options) throws BlockException {
        String dataName = options.dataFile();
        try (FileDevice file = FileDevice.create(FileOptions.of(path(name)), 0);
                @Nullable FileDevice data =
                        dataName == null
                                ? null
                                : FileDevice.create(FileOptions.of(path(dataName)), 0)) {
            Qcow2Creator.create(new Gate(file), data == null ? null : new Gate(data), options);
        } catch (BlockException e) {
            path(name).toFile().delete();
            throw e;
        }
    }

    /// The same options for `qemu-img create -o`.
    private static String words(CreateOptions options) {
        List<String> words = new ArrayList<>();
        words.add("compat=" + (options.version() == 2 ? "0.10" : "1.1"));
        words.add("cluster_size=" + options.clusterSize());
        words.add("refcount_bits=" + options.refcountBits());
        words.add("lazy_refcounts=" + (options.lazyRefcounts() ? "on" : "off"));
        words.add("extended_l2=" + (options.extendedL2() ? "on" : "off"));
        words.add("compression_type=" + options.compressionType().label());
        words.add("preallocation=" + options.preallocation().label());
        if (options.backingFile() != null) {
            words.add("backing_file=" + options.backingFile());
            words.add("backing_fmt=" + options.backingFormat());
        }
        if (options.dataFile() != null) {
            words.add("data_file=" + options.dataFile());
            words.add("data_file_raw=" + (options.dataFileRaw() ? "on" : "off"));
        }
        return String.join(",", words);
    }

    private Host.Outcome qemu(String... command) throws Exception {
        String[] inDirectory = {"sh", "-c", "cd \"$0\" && exec \"$@\"", directory.toString()};
        List<String> whole = new ArrayList<>(Arrays.asList(inDirectory));
        whole.addAll(Arrays.asList(command));
        return Host.outcome(whole.toArray(String[]::new));
    }

    private void succeeds(String... command) throws Exception {
        Host.Outcome outcome = qemu(command);
        assertEquals(0, outcome.status(), () -> List.of(command) + ": " + outcome.output());
    }

    private String info(String name) throws Exception {
        Host.Outcome outcome = qemu("qemu-img", "info", name);
        assertEquals(0, outcome.status(), outcome.output());
        return outcome.output()
                .lines()
                .filter(line -> !line.startsWith("image:") && !line.startsWith("disk size:"))
                .collect(Collectors.joining("\n"));
    }

    private static CreateOptions random(Random random) {
        boolean easy = random.nextInt(4) > 0;
        int version = random.nextInt(easy ? 8 : 2) == 0 ? 2 : 3;
        boolean modern = version == 3 || !easy;
        boolean dataFile = modern && random.nextInt(4) == 0;
        boolean backing = random.nextInt(4) == 0;
        boolean extended = modern && random.nextInt(3) == 0;
        int clusterBits = extended && easy ? 14 + random.nextInt(8) : 9 + random.nextInt(13);
        Preallocation[] allocations = Preallocation.values();
        return new CreateOptions(
                random.nextInt(SIZE_MAX),
                version,
                1 << clusterBits,
                modern ? 1 << random.nextInt(7) : 16,
                backing ? "base.raw" : null,
                backing ? "raw" : null,
                modern && random.nextBoolean(),
                extended,
                modern && random.nextBoolean() ? CompressionType.ZSTD : CompressionType.DEFLATE,
                dataFile ? "data.raw" : null,
                dataFile && random.nextBoolean() && !(easy && backing),
                backing && easy && !extended
                        ? Preallocation.OFF
                        : allocations[random.nextInt(allocations.length)]);
    }

    @Test
    void whatever_qemu_img_creates_is_created_the_same_and_what_it_refuses_is_refused()
            throws Exception {
        Random random = new Random(Seeds.next("creating images"));
        Files.write(path("base.raw"), new byte[SIZE_MAX]);
        int made = 0;
        for (int round = 0; round < ROUNDS; round++) {
            CreateOptions options = random(random);
            String size = Long.toString(options.size());
            Host.Outcome theirs =
                    qemu(
                            "qemu-img",
                            "create",
                            "-q",
                            "-f",
                            "qcow2",
                            "-o",
                            words(options),
                            "theirs.qcow2",
                            size);
            String expected = theirs.status() == 0 ? info("theirs.qcow2") : "";
            Files.deleteIfExists(path("data.raw"));
            if (theirs.status() == 0) {
                create("ours.qcow2", options);
                assertEquals(expected, info("ours.qcow2"), options::toString);
                checkUsable(options);
                made++;
            } else {
                assertThrows(
                        BlockException.class,
                        () -> create("ours.qcow2", options),
                        () -> options + " " + theirs.output());
            }
            Files.deleteIfExists(path("theirs.qcow2"));
            Files.deleteIfExists(path("ours.qcow2"));
            Files.deleteIfExists(path("data.raw"));
        }
        assertTrue(made > ROUNDS / 3, "only %d were possible".formatted(made));
    }

    private void checkUsable(CreateOptions options) throws Exception {
        succeeds("qemu-img", "check", "ours.qcow2");
        if (options.backingFile() == null && options.size() > 0) {
            Host.Outcome same =
                    qemu("qemu-io", "-c", "read -P 0 0 " + options.size(), "ours.qcow2");
            assertTrue(!same.output().contains("fail"), same.output());
        }
        if (options.size() >= 4096) {
            long at = options.size() - 4096;
            succeeds("qemu-io", "-c", "write -P 7 %d 4096".formatted(at), "ours.qcow2");
            Host.Outcome read = qemu("qemu-io", "-c", "read -P 7 " + at + " 4096", "ours.qcow2");
            assertTrue(!read.output().contains("fail"), read.output());
            succeeds("qemu-img", "check", "ours.qcow2");
        }
    }

    @ParameterizedTest
    @EnumSource
    void preallocation_takes_the_space_that_it_says(Preallocation preallocation) throws Exception {
        CreateOptions all = CreateOptions.of(SIZE_MAX);
        CreateOptions options =
                new CreateOptions(
                        all.size(),
                        all.version(),
                        all.clusterSize(),
                        all.refcountBits(),
                        null,
                        null,
                        false,
                        false,
                        all.compressionType(),
                        null,
                        false,
                        preallocation);
        create("image", options);
        long bytes = Files.size(path("image"));
        long blocks = Long.parseLong(Host.run("stat", "-c", "%b", path("image").toString()));
        boolean mapped = preallocation != Preallocation.OFF;
        boolean reserved = mapped && preallocation != Preallocation.METADATA;
        assertEquals(mapped, bytes > SIZE_MAX);
        assertEquals(reserved, blocks * 512 > SIZE_MAX);
        succeeds("qemu-img", "check", "image");
    }

    @Test
    void a_large_disk_costs_what_its_tables_cost() throws Exception {
        create("image", CreateOptions.of(16L << 40));
        assertEquals(0, qemu("qemu-img", "check", "image").status());
        assertTrue(Files.size(path("image")) < 1 << 20);
        assertThrows(BlockException.class, () -> create("other", CreateOptions.of(1L << 62)));
    }

    @Test
    void a_device_of_fixed_length_must_have_room() throws Exception {
        CreateOptions options = CreateOptions.of(1 << 20);
        Gate small = new Gate(new MemoryDevice(200_000));
        BlockException e =
                assertThrows(BlockException.class, () -> Qcow2Creator.create(small, null, options));
        assertEquals(Kind.NO_SPACE, e.kind());
        Gate enough = new Gate(new MemoryDevice(1 << 20));
        byte[] old = new byte[1 << 20];
        Arrays.fill(old, (byte) 0x55);
        enough.write(0, ByteBuffer.wrap(old), dev.lockstep.block.WriteFlag.NONE);
        Qcow2Creator.create(enough, null, options);
        byte[] image = new byte[1 << 20];
        enough.read(0, ByteBuffer.wrap(image));
        Files.write(path("image"), image);
        succeeds("qemu-img", "check", "image");
    }

    @Test
    void until_it_is_complete_nobody_takes_it_for_an_image() throws Exception {
        Random random = new Random(Seeds.next("crashes while an image is made"));
        for (Preallocation preallocation : List.of(Preallocation.OFF, Preallocation.METADATA)) {
            byte[] old = new byte[20_480];
            random.nextBytes(old);
            ByteBuffer.wrap(old).putInt(Header.MAGIC);
            RecordingDevice device = new RecordingDevice(old);
            CreateOptions options =
                    new CreateOptions(
                            20_000,
                            3,
                            512,
                            16,
                            null,
                            null,
                            false,
                            false,
                            CompressionType.DEFLATE,
                            null,
                            false,
                            preallocation);
            Qcow2Creator.create(new Gate(device), null, options);
            byte[] image = device.contents();
            new CrashStates(device)
                    .judgeEach(
                            random,
                            500,
                            state -> {
                                byte[] found = state.contents();
                                boolean isImage =
                                        found.length >= 512
                                                && ByteBuffer.wrap(found).getInt() == Header.MAGIC;
                                if (isImage && !isRemainder(found, old)) {
                                    assertArrayEquals(image, found, state.choice());
                                }
                            });
        }
    }

    /// Whether all that is there was there before.
    private static boolean isRemainder(byte[] found, byte[] old) {
        for (int at = 0; at < found.length; at += RecordingDevice.SECTOR_BYTES) {
            int end = at + RecordingDevice.SECTOR_BYTES;
            byte[] sector = Arrays.copyOfRange(found, at, end);
            if (!Arrays.equals(sector, Arrays.copyOfRange(old, at, end))
                    && !Arrays.equals(sector, new byte[RecordingDevice.SECTOR_BYTES])) {
                return false;
            }
        }
        return true;
    }
}
