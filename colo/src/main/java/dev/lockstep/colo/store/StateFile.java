package dev.lockstep.colo.store;

import dev.lockstep.colo.machine.DurableRecord;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/// The durable record of one side, and the lock that keeps a second process away from it.
///
/// When one slot is damaged or missing the other may be older than what was stored last. So what it
/// says counts as `open`: a pair does not go on without a sync on the strength of it.
///
/// One thread at a time: the actor's stores are in order anyway. After a failed store nothing can
/// be stored any more, for what the disk holds is then unknown until the next start reads it.
public final class StateFile implements AutoCloseable {
    private static final int SLOTS = 2;
    private static final String NOTE =
            """
            This file locks a Lockstep state. The state itself is in the files beside it that end
            in .0 and .1; keep all of them, and keep them with the disk.
            """;

    private final Path path;
    private final FileChannel lockChannel;
    private final FileLock lock;
    private long sequence;
    private Optional<DurableRecord> record;
    private @Nullable IOException broken;

    private StateFile(Path path, FileChannel lockChannel, FileLock lock, Optional<Slot> newest) {
        this.path = path;
        this.lockChannel = lockChannel;
        this.lock = lock;
        this.sequence = newest.map(Slot::sequence).orElse(0L);
        this.record = newest.map(Slot::record);
    }

    /// Locks and reads the state file at a path, which need not exist yet.
    ///
    /// @throws IOException with one sentence if another process has it, if it cannot be read or
    ///     written, or if it exists and both its slots are damaged.
    public static StateFile open(Path path) throws IOException {
        FileChannel channel;
        try {
            channel =
                    FileChannel.open(
                            path,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new IOException("state file %s cannot be opened: %s".formatted(path, why(e)), e);
        }
        try {
            FileLock lock = lock(path, channel);
            Optional<Slot> newest = newest(path);
            if (channel.size() == 0) {
                channel.write(ByteBuffer.wrap(NOTE.getBytes(StandardCharsets.US_ASCII)), 0);
            }
            return new StateFile(path, channel, lock, newest);
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /// The record as it was found, or as it was last stored.
    public Optional<DurableRecord> record() {
        return record;
    }

    /// Makes a record durable. When this returns it survives a power cut.
    ///
    /// @throws IOException with one sentence if that cannot be promised.
    public void store(DurableRecord next) throws IOException {
        if (broken != null) {
            throw new IOException(
                    "state file %s failed before and is not written again".formatted(path), broken);
        }
        try {
            Path slot = slot(path, (int) (sequence % SLOTS));
            write(slot, new Slot(sequence + 1, next).encode());
            sequence++;
            record = Optional.of(next);
        } catch (IOException e) {
            broken = e;
            throw new IOException("state file %s cannot be written: %s".formatted(path, why(e)), e);
        }
    }

    @Override
    public void close() throws IOException {
        try (lockChannel) {
            lock.release();
        }
    }

    private void write(Path slot, byte[] bytes) throws IOException {
        Path temporary = path.resolveSibling(path.getFileName() + ".tmp");
        try (FileChannel channel =
                FileChannel.open(
                        temporary,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
            channel.force(true);
        }
        try {
            Files.move(
                    temporary,
                    slot,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } catch (AtomicMoveNotSupportedException e) {
            throw new IOException("its file system cannot rename atomically", e);
        }
        syncFolder(slot);
    }

    /// A rename is durable once its folder is.
    private static void syncFolder(Path file) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        if (folder != null) {
            try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
                channel.force(true);
            }
        }
    }

    private static FileLock lock(Path path, FileChannel channel) throws IOException {
        String taken =
                "state file %s is in use by another process; stop that one, or name another file"
                        + " with --state";
        try {
            FileLock lock = channel.tryLock();
            if (lock != null) {
                return lock;
            }
        } catch (OverlappingFileLockException e) {
            throw new IOException(taken.formatted(path), e);
        }
        throw new IOException(taken.formatted(path));
    }

    private static Optional<Slot> newest(Path path) throws IOException {
        Optional<Slot> newest = Optional.empty();
        boolean damaged = false;
        for (int index = 0; index < SLOTS; index++) {
            Path file = slot(path, index);
            byte[] bytes;
            try {
                bytes = read(file);
            } catch (NoSuchFileException e) {
                continue;
            }
            Optional<Slot> slot = Slot.decode(bytes);
            damaged |= slot.isEmpty();
            if (slot.isPresent()
                    && (newest.isEmpty() || slot.get().sequence() > newest.get().sequence())) {
                newest = slot;
            }
        }
        if (damaged && newest.isEmpty()) {
            throw new IOException(
                    ("state file %s is damaged in both its slots, so what this disk holds is"
                                    + " unknown; restore %s.0 and %s.1, or remove them and start"
                                    + " with a sync")
                            .formatted(path, path.getFileName(), path.getFileName()));
        }
        boolean suspect = damaged || (newest.isPresent() && isAlone(path, newest.get()));
        return suspect ? newest.map(Slot::opened) : newest;
    }

    /// Whether the slot that was written before this one is missing.
    private static boolean isAlone(Path path, Slot slot) {
        return slot.sequence() > 1 && !Files.exists(slot(path, (int) (slot.sequence() % SLOTS)));
    }

    /// At most one byte more than a slot can have: enough to see that it is too long.
    private static byte[] read(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            ByteBuffer buffer = ByteBuffer.allocate(Slot.BYTES_MAX + 1);
            while (buffer.hasRemaining() && channel.read(buffer) >= 0) {
                // Reads until the end or the limit.
            }
            buffer.flip();
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            return bytes;
        }
    }

    static Path slot(Path path, int index) {
        return path.resolveSibling(path.getFileName() + "." + index);
    }

    private static String why(IOException e) {
        String reason = e.getMessage();
        return reason == null ? e.toString() : reason;
    }
}
