package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// The same operations by ours and by qemu-io, on images that either made.
class QedDifferentialTest {
    private static final Duration LIMIT =
            Duration.ofSeconds(Integer.getInteger("lockstep.proof.seconds", 4));

    @TempDir(factory = Folder.class)
    private Path folder;

    /// Something that both can do.
    ///
    /// @param value what every byte becomes; 0 is written as zeroes
    private record Operation(long offset, int length, int value) {
        static Operation random(Random random, Shape shape) {
            int grain = List.of(1, 512, shape.clusterSize()).get(random.nextInt(3));
            int offset = random.nextInt(shape.size()) / grain * grain;
            int length = 1 + random.nextInt(Math.min(300_000, 4 * shape.clusterSize()));
            length = Math.min(shape.size() - offset, (length + grain - 1) / grain * grain);
            // QEMU 7.2 fills what is around a write into a zero cluster from the backing file.
            boolean zero = shape.backingBytes() == 0 && random.nextInt(3) == 0;
            int value = zero ? 0 : 1 + random.nextInt(255);
            return new Operation(offset, length, value);
        }

        void apply(Gate gate) throws Exception {
            if (value == 0) {
                gate.zero(offset, length, WriteFlag.UNMAP);
            } else {
                byte[] bytes = new byte[length];
                Arrays.fill(bytes, (byte) value);
                gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
            }
        }

        String command() {
            String how = value == 0 ? "-z -u" : "-P " + value;
            return "write -q %s %d %d".formatted(how, offset, length);
        }
    }

    @Test
    void random_operations_on_random_images_end_as_with_qemu_io() throws Exception {
        Random seeds = new Random(Seeds.next("QedDifferentialTest"));
        long end = System.nanoTime() + LIMIT.toNanos();
        int rounds = 0;
        for (; rounds == 0 || System.nanoTime() < end; rounds++) {
            long seed = seeds.nextLong();
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            List<Operation> operations =
                    Stream.generate(() -> Operation.random(random, shape)).limit(40).toList();
            try {
                compare(shape, operations);
            } catch (AssertionError | Exception e) {
                throw new AssertionError("seed %d, %s, %s".formatted(seed, shape, operations), e);
            }
        }
        System.out.println("QedDifferentialTest: %d images".formatted(rounds));
    }

    private void compare(Shape shape, List<Operation> operations) throws Exception {
        Path ours = folder.resolve("ours.qed");
        Path theirs = folder.resolve("theirs.qed");
        shape.create(theirs);
        Files.write(ours, shape.made());
        int half = operations.size() / 2;
        applyOurs(shape, ours, operations.subList(0, half));
        applyTheirs(theirs, operations.subList(0, half));
        judge(shape, ours, theirs);
        // Each goes on with what the other has written.
        applyOurs(shape, theirs, operations.subList(half, operations.size()));
        applyTheirs(ours, operations.subList(half, operations.size()));
        judge(shape, theirs, ours);
    }

    private static void applyOurs(Shape shape, Path image, List<Operation> operations)
            throws Exception {
        try (FileDevice file = FileDevice.open(FileOptions.of(image));
                QedDevice device = QedDevice.open(new Gate(file), shape.below(), false)) {
            Gate gate = new Gate(device);
            for (Operation operation : operations) {
                operation.apply(gate);
            }
        }
    }

    private static void applyTheirs(Path image, List<Operation> operations) throws Exception {
        List<String> command = new ArrayList<>(List.of("qemu-io", "-d", "unmap", "-f", "qed"));
        operations.forEach(each -> command.addAll(List.of("-c", each.command())));
        command.add(image.toString());
        assertEquals("", Host.run(command.toArray(String[]::new)), "what qemu-io said");
    }

    private static void judge(Shape shape, Path ours, Path theirs) throws Exception {
        for (Path each : List.of(ours, theirs)) {
            Host.Outcome check = Host.outcome("qemu-img", "check", each.toString());
            assertEquals(0, check.status(), check.output());
        }
        assertArrayEquals(read(shape, theirs), read(shape, ours), "what a guest finds");
        Host.run("qemu-img", "compare", ours.toString(), theirs.toString());
    }

    private static byte[] read(Shape shape, Path image) throws Exception {
        try (FileDevice file = FileDevice.open(FileOptions.of(image).asReadOnly());
                QedDevice device = QedDevice.open(Gate.readOnly(file), shape.below(), true)) {
            return DiskModel.read(device, 0, shape.size());
        }
    }
}
