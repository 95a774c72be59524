package dev.lockstep.colo.store;

import dev.lockstep.block.file.FileErrors;
import dev.lockstep.colo.machine.DurableRecord;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

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
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Optional;

/// The durable record of one side, and the lock that keeps a second process away from it.
///
/// When one slot is damaged or missing the other may be older than what was stored last. So what it
/// says counts as `open`: a pair does not go on without a sync on the strength of it.
///
/// The lock file names the disk that the state was stored for. With another one, which is neither
/// that file nor called so, what the state says counts as `open` too, until the next store.
///
/// One thread at a time: the actor's stores are in order anyway. After a failed store nothing can
/// be stored any more, for what the disk holds is then unknown until the next start reads it.
public final class StateFile implements AutoCloseable {
    private static final int SLOTS = 2;

    /// The note below, a path of 4 KiB and the number of a file.
    private static final int NOTE_BYTES_MAX = 8192;

    private static final String NOTE =
            """
            This file locks a Lockstep state. The state itself is in the files beside it that end
            in .0 and .1; keep all of them, and keep them with the disk.
            """;

    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    private final Path path;
    private final Path disk;
    private final FileChannel lockChannel;
    private final FileLock lock;
    private long sequence;
    private Optional<DurableRecord> record;
    private @Nullable IOException broken;

    /// Whether the lock file names the disk.
    private boolean claimed;

    private StateFile(
            Path path,
            Path disk,
            FileChannel lockChannel,
            FileLock lock,
            boolean claimed,
            Optional<Slot> newest) {
        this.path = path;
        this.disk = disk;
        this.claimed = claimed;
        this.lockChannel = lockChannel;
        this.lock = lock;
        this.sequence = newest.map(Slot::sequence).orElse(0L);
        this.record = newest.map(Slot::record);
    }

    /// Locks and reads the state file at a path, which need not exist yet.
    ///
    /// @param disk the disk that the state is about
    /// @throws IOException with one sentence if another process has it, if it cannot be read or
    ///     written, or if it exists and both its slots are damaged.
    public static StateFile open(Path path, Path disk) throws IOException {
        FileChannel channel;
        try {
            channel =
                    FileChannel.open(
                            path,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new IOException(
                    "state file %s cannot be opened: %s".formatted(path, FileErrors.reason(e)), e);
        }
        try {
            FileLock lock = lock(path, channel);
            Optional<Slot> newest = newest(path);
            boolean claimed = claims(channel, disk);
            if (!claimed && newest.isPresent()) {
                LOG.warn(
                        "state file {} was kept for another disk than {}: it is no proof of what"
                                + " this one holds",
                        path,
                        disk);
                newest = newest.map(Slot::opened);
            }
            return new StateFile(path, disk, channel, lock, claimed, newest);
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
            if (!claimed) {
                claim();
            }
            Path slot = slot(path, (int) (sequence % SLOTS));
            write(slot, new Slot(sequence + 1, next).encode());
            sequence++;
            record = Optional.of(next);
        } catch (IOException e) {
            broken = e;
            throw new IOException(
                    "state file %s cannot be written: %s".formatted(path, FileErrors.reason(e)), e);
        }
    }

    @Override
    public void close() throws IOException {
        try (lockChannel) {
            lock.release();
        }
    }

    /// Names the disk. Whoever finds half of that finds another disk.
    private void claim() throws IOException {
        String text = NOTE + String.join("\n", names(disk)) + "\n";
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        lockChannel.truncate(0);
        while (bytes.hasRemaining()) {
            lockChannel.write(bytes, bytes.position());
        }
        lockChannel.force(true);
        claimed = true;
    }

    /// Whether the disk has one of the names in a lock file.
    private static boolean claims(FileChannel channel, Path disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(NOTE_BYTES_MAX);
        while (bytes.hasRemaining() && channel.read(bytes, bytes.position()) >= 0) {
            // Reads until the end or the limit.
        }
        String text = StandardCharsets.UTF_8.decode(bytes.flip()).toString();
        List<String> lines = text.lines().toList();
        return names(disk).stream().anyMatch(lines::contains);
    }

    /// What a disk is known by: where it is and, as long as it is not copied, which file it is.
    private static List<String> names(Path disk) throws IOException {
        String place = "disk " + disk.toAbsolutePath().normalize();
        if (!Files.isRegularFile(disk)) {
            return List.of(place);
        }
        BasicFileAttributes file = Files.readAttributes(disk, BasicFileAttributes.class);
        return List.of(place, "file " + file.fileKey());
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
}
