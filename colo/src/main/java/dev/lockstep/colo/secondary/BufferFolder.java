package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileErrors;
import dev.lockstep.block.file.FileOptions;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/// The files of durable buffers in a folder, which is made if it is missing. They are locked, so
/// that two sides never use the same.
final class BufferFolder implements DurableBuffers.Files {
    private final Path folder;
    private final List<FileDevice> opened = new ArrayList<>();

    BufferFolder(Path folder) {
        this.folder = folder;
    }

    @Override
    public BlockDevice open(String name) throws BlockException {
        Path file = folder.resolve(name);
        try {
            Files.createDirectories(folder);
            if (!Files.exists(file)) {
                Files.createFile(file);
                try (FileChannel entry = FileChannel.open(folder, StandardOpenOption.READ)) {
                    entry.force(true);
                }
            }
        } catch (IOException e) {
            throw new BlockException(
                    Kind.IO,
                    "folder %s cannot hold buffers: %s".formatted(folder, FileErrors.reason(e)),
                    e);
        }
        FileDevice device = FileDevice.open(FileOptions.of(file));
        opened.add(device);
        return device;
    }

    @Override
    public void close() {
        opened.forEach(FileDevice::close);
        opened.clear();
    }
}
