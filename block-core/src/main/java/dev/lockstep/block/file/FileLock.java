package dev.lockstep.block.file;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.file.FileOptions.Locking;

import java.util.EnumSet;
import java.util.Set;

/// QEMU's locks on an image, so that two programs never write to it at once.
///
/// They are locks of open file descriptions on single bytes, and all of them are shared locks: one
/// byte for each permission that a program *uses*, and one for each that it *does not let others
/// use*. Taking them never conflicts. Whoever has taken its own looks whether the opposite byte of
/// any of them is locked by somebody else, and if so lets go. Both may do so if they come at the
/// same moment; that both go on is impossible. The locks end with the descriptor.
final class FileLock {
    /// What a user of an image can do with it, as QEMU numbers it.
    private enum Permission {
        /// Read, and rely on what was read.
        CONSISTENT_READ(0, "consistent read"),
        /// Change the contents.
        WRITE(1, "write"),
        /// Write what is already there, as copy-on-read does.
        WRITE_UNCHANGED(2, "write unchanged"),
        /// Change the length.
        RESIZE(3, "resize");

        private static final int USED_BASE = 100;
        private static final int UNSHARED_BASE = 200;

        private final int number;
        private final String title;

        Permission(int number, String title) {
            this.number = number;
            this.title = title;
        }

        int usedByte() {
            return USED_BASE + number;
        }

        int unsharedByte() {
            return UNSHARED_BASE + number;
        }
    }

    private FileLock() {}

    static void take(int fd, FileOptions options) throws BlockException {
        if (options.locking() == Locking.OFF) {
            return;
        }
        Set<Permission> used = EnumSet.of(Permission.CONSISTENT_READ);
        if (!options.readOnly()) {
            used.add(Permission.WRITE);
        }
        Set<Permission> unshared =
                options.shareWriters()
                        ? EnumSet.noneOf(Permission.class)
                        : EnumSet.of(Permission.WRITE, Permission.RESIZE);
        long result = lockAll(fd, used, unshared);
        if (result == 0) {
            check(fd, options, used, unshared);
        } else if (options.locking() == Locking.ON || Errno.EAGAIN.is(result)) {
            throw new BlockException(
                    Errno.kind(result),
                    "cannot lock %s: %s".formatted(options.path(), Errno.text(result)));
        }
    }

    private static long lockAll(int fd, Set<Permission> used, Set<Permission> unshared) {
        for (Permission permission : used) {
            int result = Posix.lockByte(fd, permission.usedByte());
            if (result < 0) {
                return result;
            }
        }
        for (Permission permission : unshared) {
            int result = Posix.lockByte(fd, permission.unsharedByte());
            if (result < 0) {
                return result;
            }
        }
        return 0;
    }

    private static void check(
            int fd, FileOptions options, Set<Permission> used, Set<Permission> unshared)
            throws BlockException {
        for (Permission permission : used) {
            if (Posix.byteIsLocked(fd, permission.unsharedByte()) == 1) {
                throw inUse(options, "\"%s\" lock".formatted(permission.title));
            }
        }
        for (Permission permission : unshared) {
            if (Posix.byteIsLocked(fd, permission.usedByte()) == 1) {
                throw inUse(options, "shared \"%s\" lock".formatted(permission.title));
            }
        }
    }

    private static BlockException inUse(FileOptions options, String lock) {
        return new BlockException(
                Kind.DENIED,
                "failed to get the %s on %s: another program has this image open%s; stop it first%s"
                        .formatted(
                                lock,
                                options.path(),
                                lock.startsWith("shared") ? " for writing" : "",
                                options.readOnly() ? ", or share the image with it" : ""));
    }
}
