package dev.lockstep.block.file;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.WriteFlag;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/// The contract in every cache mode, on a file system with a disk and on tmpfs.
class FileContractTest {
    /// A file in a folder, opened in one mode.
    abstract static class InFolder extends BlockDeviceContract {
        private final Path parent;
        private final CacheMode mode;
        private @Nullable Path folder;

        InFolder(Path parent, CacheMode mode) {
            this.parent = parent;
            this.mode = mode;
        }

        @BeforeEach
        void makeFolder() throws IOException {
            folder = Files.createTempDirectory(parent, "lockstep-test-");
        }

        @AfterEach
        void deleteFolder() throws IOException {
            Files.deleteIfExists(path());
            Files.delete(path().getParent());
        }

        @Override
        protected int operations() {
            return mode.writeThrough() ? 200 : 1000;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws IOException {
            Files.write(path(), contents);
            return FileDevice.open(FileOptions.of(path()).with(mode));
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws IOException {
            device.close();
            return FileDevice.open(FileOptions.of(path()).with(mode));
        }

        private Path path() {
            if (folder == null) {
                throw new IllegalStateException("no folder");
            }
            return folder.resolve("disk.raw");
        }
    }

    @Nested
    class WritebackOnDisk extends InFolder {
        WritebackOnDisk() {
            super(OnDisk.PARENT, CacheMode.WRITEBACK);
        }
    }

    @Nested
    class NoneOnDisk extends InFolder {
        NoneOnDisk() {
            super(OnDisk.PARENT, CacheMode.NONE);
        }
    }

    @Nested
    class WritethroughOnDisk extends InFolder {
        WritethroughOnDisk() {
            super(OnDisk.PARENT, CacheMode.WRITETHROUGH);
        }
    }

    @Nested
    class DirectsyncOnDisk extends InFolder {
        DirectsyncOnDisk() {
            super(OnDisk.PARENT, CacheMode.DIRECTSYNC);
        }
    }

    @Nested
    class UnsafeOnDisk extends InFolder {
        UnsafeOnDisk() {
            super(OnDisk.PARENT, CacheMode.UNSAFE);
        }
    }

    @Nested
    class WritebackOnTmpfs extends InFolder {
        WritebackOnTmpfs() {
            super(Path.of("/dev/shm"), CacheMode.WRITEBACK);
        }
    }

    @Nested
    class WritethroughOnTmpfs extends InFolder {
        WritethroughOnTmpfs() {
            super(Path.of("/dev/shm"), CacheMode.WRITETHROUGH);
        }
    }

    @Nested
    class UnsafeOnTmpfs extends InFolder {
        UnsafeOnTmpfs() {
            super(Path.of("/dev/shm"), CacheMode.UNSAFE);
        }
    }

    /// A file that has no name.
    @Nested
    class InMemory extends BlockDeviceContract {
        @Override
        protected BlockDevice create(byte[] contents) throws IOException {
            FileDevice device = FileDevice.inMemory("contract", contents.length);
            device.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
            return device;
        }
    }
}
