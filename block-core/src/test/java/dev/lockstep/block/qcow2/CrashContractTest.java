package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.Folder;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Recipe.Below;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Random;

/// The contract for images whose disk may lose power, and which are healthy at every moment.
class CrashContractTest {
    abstract static class Image extends BlockDeviceContract {
        private final Recipe recipe;

        @TempDir(factory = Folder.class)
        private @Nullable Path folder;

        private @Nullable RecordingDevice disk;
        private @Nullable OpenImage opened;

        Image(String options, Below below) {
            recipe = new Recipe(options, size(), below);
        }

        @Override
        protected int operations() {
            return 500;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            recipe.create(path());
            BlockDevice device = open(new RecordingDevice(Files.readAllBytes(path())));
            device.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
            return device;
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws Exception {
            close();
            return open(Objects.requireNonNull(disk));
        }

        @Override
        protected BlockDevice crash(BlockDevice device, Random random) throws Exception {
            byte[] survived = new CrashStates(Objects.requireNonNull(disk)).now(random);
            return open(new RecordingDevice(survived));
        }

        /// Also while it is open an image has no damage, unless it says that it may have.
        @Override
        protected void checkHealth(BlockDevice device) throws Exception {
            byte[] contents = Objects.requireNonNull(disk).contents();
            boolean dirty = !recipe.old() && (contents[79] & 1) != 0;
            if (!dirty) {
                Files.write(path(), contents);
                assertNotEquals(Peer.Health.CORRUPT, Peer.check(path()));
            }
        }

        @AfterEach
        void close() throws Exception {
            if (opened != null) {
                opened.close();
            }
        }

        private BlockDevice open(RecordingDevice file) throws Exception {
            disk = file;
            OpenImage image = OpenImage.open(recipe, new Gate(file), null, path(), OpenImage.TIGHT);
            opened = image;
            return image.device();
        }

        private Path path() {
            return Objects.requireNonNull(folder).resolve("image.qcow2");
        }
    }

    @Nested
    class Default extends Image {
        Default() {
            super("cluster_size=65536", Below.NOTHING);
        }
    }

    @Nested
    class SmallClusters extends Image {
        SmallClusters() {
            super("cluster_size=512,refcount_bits=64", Below.NOTHING);
        }
    }

    @Nested
    class VersionTwoOverAnImage extends Image {
        VersionTwoOverAnImage() {
            super("cluster_size=4096,compat=0.10", Below.QCOW2);
        }
    }

    @Nested
    class LazyRefcountsOverAFile extends Image {
        LazyRefcountsOverAFile() {
            super("cluster_size=4096,lazy_refcounts=on", Below.RAW);
        }
    }

    @Nested
    class SubclustersOverAFile extends Image {
        SubclustersOverAFile() {
            super("cluster_size=65536,extended_l2=on", Below.SHORT_RAW);
        }
    }

    @Nested
    class PreallocatedWithOneBitRefcounts extends Image {
        PreallocatedWithOneBitRefcounts() {
            super("cluster_size=4096,refcount_bits=1,preallocation=metadata", Below.NOTHING);
        }
    }
}
