package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Buffers as sparse files in a folder.
///
/// The files are called `NAME-active-1.buffer` and so on. They are worth nothing to a later
/// process, because their map was in memory; what a killed process left behind is removed by the
/// next one of the same name. A lock on `NAME.buffers-lock`, which the kernel drops with its
/// holder, keeps two processes of one name apart; the folder may be shared by several names.
public final class BufferFolder implements BufferSource {
    private final String name;
    private final Path folder;
    private final FileChannel lock;
    private final AtomicLong count = new AtomicLong();

    private record SparseFile(BlockDevice device, Path path) implements Room {
        @Override
        public void release() throws IOException {
            Files.deleteIfExists(path);
        }
    }

    private BufferFolder(String name, Path folder, FileChannel lock) {
        this.name = name;
        this.folder = folder;
        this.lock = lock;
    }

    /// Makes the folder if it is missing, locks it for this name, and removes this name's
    /// leftovers.
    ///
    /// @throws BlockException with one sentence if the folder cannot be used
    public static BufferFolder open(String name, Path folder) throws BlockException {
        try {
            Files.createDirectories(folder);
            FileChannel lock = lock(name, folder);
            try {
                removeLeftovers(name, folder);
            } catch (IOException e) {
                lock.close();
                throw e;
            }
            return new BufferFolder(name, folder, lock);
        } catch (BlockException e) {
            throw e;
        } catch (IOException e) {
            throw new BlockException(
                    Kind.IO, "the buffers' folder %s cannot be used: %s".formatted(folder, e), e);
        }
    }

    @Override
    public Room create(String kind, long length) throws BlockException {
        Path path =
                folder.resolve("%s-%s-%d.buffer".formatted(name, kind, count.incrementAndGet()));
        FileOptions options =
                FileOptions.of(path).with(CacheMode.UNSAFE).with(FileOptions.Locking.OFF);
        return new SparseFile(FileDevice.create(options, length), path);
    }

    @Override
    public void close() throws IOException {
        lock.close();
    }

    private static FileChannel lock(String name, Path folder) throws IOException {
        Path path = folder.resolve(name + ".buffers-lock");
        FileChannel channel =
                FileChannel.open(
                        path,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE,
                        LinkOption.NOFOLLOW_LINKS);
        boolean locked = false;
        try {
            locked = channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            // A second secondary of this name in this very process; it is refused as any other.
            locked = false;
        } finally {
            if (!locked) {
                channel.close();
            }
        }
        if (!locked) {
            throw new BlockException(
                    Kind.DENIED,
                    "the buffers' folder %s is in use by another secondary called %s"
                            .formatted(folder, name));
        }
        return channel;
    }

    private static void removeLeftovers(String name, Path folder) throws IOException {
        Pattern ours = Pattern.compile(Pattern.quote(name) + "-(active|hidden)-[0-9]+\\.buffer");
        List<Path> leftovers;
        try (Stream<Path> files = Files.list(folder)) {
            leftovers =
                    files.filter(file -> ours.matcher(file.getFileName().toString()).matches())
                            .filter(file -> Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS))
                            .toList();
        }
        for (Path file : leftovers) {
            Files.delete(file);
        }
    }
}
