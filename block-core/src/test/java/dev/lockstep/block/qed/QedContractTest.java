package dev.lockstep.block.qed;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/// The contract for images whose disk may lose power. Each is checked by ours while it is open, and
/// by qemu-img when it is closed.
class QedContractTest {
    abstract static class Image extends BlockDeviceContract {
        private final Shape shape;

        @TempDir(factory = Folder.class)
        private @Nullable Path folder;

        private @Nullable RecordingDevice disk;
        private @Nullable QedDevice opened;

        Image(int clusterSize, int tableSize, int backingBytes) {
            shape = new Shape(clusterSize, tableSize, size(), backingBytes);
        }

        @Override
        protected int operations() {
            return 700;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            BlockDevice device = open(new RecordingDevice(shape.made()));
            device.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
            return device;
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws Exception {
            device.close();
            return open(Objects.requireNonNull(disk));
        }

        @Override
        protected BlockDevice crash(BlockDevice device, Random random) throws Exception {
            return open(
                    new RecordingDevice(new CrashStates(Objects.requireNonNull(disk)).now(random)));
        }

        @Override
        protected void checkHealth(BlockDevice device) throws Exception {
            Gate file = new Gate(Objects.requireNonNull(disk));
            QedChecker.check(
                    file, Repair.NONE, finding -> assertTrue(finding.startsWith("Leak:"), finding));
        }

        @AfterEach
        void close_and_check() throws Exception {
            if (opened != null) {
                opened.close();
                Path image = Objects.requireNonNull(folder).resolve("image.qed");
                Files.write(image, Objects.requireNonNull(disk).contents());
                Files.write(image.resolveSibling("base.raw"), shape.backing());
                Host.Outcome outcome = Host.outcome("qemu-img", "check", image.toString());
                assertTrue(Set.of(0, 3).contains(outcome.status()), outcome.output());
            }
        }

        private BlockDevice open(RecordingDevice file) throws Exception {
            disk = file;
            QedDevice device = QedDevice.open(new Gate(file), shape.below(), false);
            opened = device;
            return device;
        }
    }

    @Nested
    class Default extends Image {
        Default() {
            super(CreateOptions.CLUSTER_SIZE_DEFAULT, CreateOptions.TABLE_SIZE_DEFAULT, 0);
        }
    }

    @Nested
    class SmallClustersOverAFile extends Image {
        SmallClustersOverAFile() {
            super(4096, 2, 1 << 20);
        }
    }

    @Nested
    class LargeClustersOverAShortFile extends Image {
        LargeClustersOverAShortFile() {
            super(1 << 20, 2, 300_032);
        }
    }
}
