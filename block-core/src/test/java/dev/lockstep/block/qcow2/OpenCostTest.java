package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;

import dev.lockstep.block.Extent;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// A large disk that is empty costs what its L1 table costs.
class OpenCostTest {
    private static final Duration OPEN_MAX = Duration.ofMillis(500);

    @TempDir(factory = Folder.class)
    private Path folder;

    /// The L1 tables have 256 KiB, 128 B, 512 KiB and 32 MiB, the most there may be.
    @ParameterizedTest
    @CsvSource({
        "cluster_size=65536, 16T, 8",
        "cluster_size=2097152, 16T, 16",
        "'cluster_size=65536,extended_l2=on', 16T, 8",
        "cluster_size=512, 127G, 200"
    })
    void opening_a_large_sparse_image_is_cheap(String options, String size, int mebibytesMax)
            throws Exception {
        Path image = folder.resolve("large.qcow2");
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image + "", size);
        openAndRead(image);
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = memory.getCurrentThreadAllocatedBytes();
        long began = System.nanoTime();
        openAndRead(image);
        Duration took = Duration.ofNanos(System.nanoTime() - began);
        long mebibytes = (memory.getCurrentThreadAllocatedBytes() - allocated) >> 20;
        System.out.printf("opening %s of %s: %s, %d MiB%n", size, options, took, mebibytes);
        assertTrue(took.compareTo(OPEN_MAX) < 0, () -> "it took " + took);
        assertTrue(mebibytes <= mebibytesMax, () -> "it took %d MiB".formatted(mebibytes));
    }

    private static void openAndRead(Path image) throws Exception {
        try (FileDevice file = FileDevice.open(FileOptions.of(image));
                Qcow2Device device =
                        Qcow2Device.open(
                                new Gate(file), null, null, Qcow2Options.DEFAULTS, false)) {
            Gate gate = new Gate(device);
            List<Extent> extents = gate.extents(0, gate.size());
            assertEquals(new Extent(0, gate.size(), Extent.Kind.HOLE, 0), extents.getFirst());
            gate.read(gate.size() - 512, ByteBuffer.allocate(512));
        }
    }
}
