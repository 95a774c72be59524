package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileErrors;
import dev.lockstep.block.file.FileOptions;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;

/// Where overlays keep the clusters that they hold. A store is as volatile as the map of the
/// overlay above it: it is gone when it is closed or when its process ends, however that ends.
public interface BufferStore {
    /// Makes an empty store of `size` bytes, of which only what is written takes space.
    BlockDevice create(String name, long size) throws BlockException;

    /// Stores in RAM, outside the Java heap.
    static BufferStore inMemory() {
        return FileDevice::inMemory;
    }

    /// Stores that are sparse files without a name on the file system of `folder`, which is created
    /// if it is missing. They are never synced.
    static BufferStore inFolder(Path folder) {
        AtomicLong serial = new AtomicLong();
        long process = ProcessHandle.current().pid();
        return (name, size) -> {
            String file = "%s.%d.%d.buffer".formatted(name, process, serial.getAndIncrement());
            Path path = folder.resolve(file);
            try {
                Files.createDirectories(folder);
                Files.deleteIfExists(path);
                FileOptions options =
                        FileOptions.of(path).with(CacheMode.UNSAFE).with(FileOptions.Locking.OFF);
                FileDevice store = FileDevice.create(options, size);
                Files.delete(path);
                return store;
            } catch (BlockException e) {
                throw e;
            } catch (IOException e) {
                throw new BlockException(
                        Kind.IO,
                        "folder %s cannot hold buffers: %s".formatted(folder, FileErrors.reason(e)),
                        e);
            }
        };
    }
}
