package dev.lockstep.block.file;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import java.nio.file.Path;

/// Opens files, and says in one sentence why one cannot be opened.
final class FileOpener {
    private static final int NEW_FILE_MODE = 0644;

    private FileOpener() {}

    static OpenFile open(FileOptions options) throws BlockException {
        // Without O_NONBLOCK, opening a FIFO would wait for its other end.
        int access = options.readOnly() ? Posix.O_RDONLY : Posix.O_RDWR;
        int direct = options.cache().direct() ? Posix.O_DIRECT : 0;
        int flags = access | direct | Posix.O_CLOEXEC | Posix.O_NONBLOCK;
        int fd = Posix.open(options.path().toString(), flags, 0);
        if (fd < 0) {
            throw cannotOpen(options, fd);
        }
        return closedOnFailure(
                fd,
                () -> {
                    Posix.Stat stat = Posix.stat(fd);
                    checkType(options.path(), stat);
                    checkProtection(fd, stat, options);
                    FileLock.take(fd, options);
                    OpenFile file = OpenFile.of(fd, options.cache().direct());
                    if (file.length() < 0) {
                        throw new BlockException(
                                Errno.kind(file.length()),
                                "cannot tell how long %s is: %s"
                                        .formatted(options.path(), Errno.text(file.length())));
                    }
                    return file;
                });
    }

    /// Makes a new file of `length` bytes that takes no space yet.
    static void create(Path path, long length) throws BlockException {
        int flags = Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_CLOEXEC;
        int fd = Posix.open(path.toString(), flags, NEW_FILE_MODE);
        long result = fd < 0 ? fd : Posix.ftruncate(fd, length);
        if (fd >= 0) {
            Posix.close(fd);
        }
        if (result < 0) {
            throw new BlockException(
                    Errno.kind(result),
                    "cannot create %s with %d bytes: %s"
                            .formatted(path, length, Errno.text(result)));
        }
    }

    /// Opens a new file of `length` bytes that lives in memory and ends with its descriptor.
    static OpenFile inMemory(String name, long length) throws BlockException {
        int fd = Posix.memfdCreate(name);
        if (fd < 0) {
            throw new BlockException(
                    Errno.kind(fd),
                    "cannot make the RAM file %s: %s".formatted(name, Errno.text(fd)));
        }
        return closedOnFailure(
                fd,
                () -> {
                    int result = Posix.ftruncate(fd, length);
                    if (result < 0) {
                        throw new BlockException(
                                Errno.kind(result),
                                "cannot give the RAM file %s %d bytes: %s"
                                        .formatted(name, length, Errno.text(result)));
                    }
                    return OpenFile.of(fd, false);
                });
    }

    private static OpenFile closedOnFailure(int fd, IoCall<OpenFile> rest) throws BlockException {
        boolean opened = false;
        try {
            OpenFile file = rest.run();
            opened = true;
            return file;
        } finally {
            if (!opened) {
                Posix.close(fd);
            }
        }
    }

    private static void checkType(Path path, Posix.Stat stat) throws BlockException {
        if (stat.directory()) {
            throw new BlockException(
                    Kind.INVALID, "%s is a directory, not a disk image".formatted(path));
        }
        if (!stat.regular() && !stat.block()) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s is neither a regular file nor a block device".formatted(path));
        }
    }

    /// A write-protected drive can be opened for writing, and then fails every write.
    private static void checkProtection(int fd, Posix.Stat stat, FileOptions options)
            throws BlockException {
        if (stat.block() && !options.readOnly() && Posix.ioctlNumber(fd, Posix.BLKROGET) > 0) {
            throw new BlockException(
                    Kind.READ_ONLY,
                    "cannot open %s for writing: it is write-protected; open it read-only"
                            .formatted(options.path()));
        }
    }

    private static BlockException cannotOpen(FileOptions options, int result) {
        Path path = options.path();
        if (Errno.EISDIR.is(result)) {
            return new BlockException(
                    Kind.INVALID, "%s is a directory, not a disk image".formatted(path));
        }
        boolean writing = !options.readOnly();
        String advice = "";
        if (Errno.EINVAL.is(result) && options.cache().direct()) {
            advice = "; its file system cannot bypass the page cache, so choose cache=writeback";
        } else if (writing && (Errno.EROFS.is(result) || Errno.EACCES.is(result))) {
            advice = "; open it read-only, or make it writable";
        }
        return new BlockException(
                Errno.kind(result),
                "cannot open %s%s: %s%s"
                        .formatted(
                                path, writing ? " for writing" : "", Errno.text(result), advice));
    }
}
