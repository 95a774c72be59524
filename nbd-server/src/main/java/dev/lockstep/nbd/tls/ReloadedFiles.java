package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// What is made of some files, made again when one of them has changed, appeared or gone. The old
/// stays when the new cannot be made.
public final class ReloadedFiles<T> {
    private static final Logger LOG = LoggerFactory.getLogger(ReloadedFiles.class);

    /// Makes the value from the files as they are now.
    public interface Loader<T> {
        /// Reads them.
        ///
        /// @throws IOException with one sentence that names the file
        T load() throws IOException;
    }

    /// What tells a file from its successor.
    private record Stamp(FileTime modified, long size, @Nullable Object inode) {}

    private final List<Path> files;
    private final Loader<T> loader;

    /// Guards: stamps, value.
    private final ReentrantLock lock = new ReentrantLock();

    private List<@Nullable Stamp> stamps = List.of();
    private @Nullable T value;

    /// Nothing is read yet.
    public ReloadedFiles(List<Path> files, Loader<T> loader) {
        this.files = files;
        this.loader = loader;
    }

    /// Returns the value, of the files as they are now if they can be read.
    ///
    /// @throws IOException if the first loading fails
    public T current() throws IOException {
        lock.lock();
        try {
            List<@Nullable Stamp> now =
                    files.stream().<@Nullable Stamp>map(ReloadedFiles::stamp).toList();
            T old = value;
            if (old != null && now.equals(stamps)) {
                return old;
            }
            T made = old == null ? loader.load() : loadOrKeep(old);
            stamps = now;
            value = made;
            return made;
        } finally {
            lock.unlock();
        }
    }

    private T loadOrKeep(T old) {
        try {
            return loader.load();
        } catch (IOException e) {
            LOG.error("{}; what was read before stays in use", e.getMessage());
            return old;
        }
    }

    private static @Nullable Stamp stamp(Path file) {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            return new Stamp(
                    attributes.lastModifiedTime(), attributes.size(), attributes.fileKey());
        } catch (IOException _) {
            return null;
        }
    }
}
