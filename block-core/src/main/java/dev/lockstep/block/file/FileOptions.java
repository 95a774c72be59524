package dev.lockstep.block.file;

import java.nio.file.Path;

/// Which file, and how it is used.
///
/// @param path a regular file or a block device
/// @param readOnly nothing is written to it
/// @param cache how much the host may hold back
/// @param locking whether the image is locked against other programs
/// @param shareWriters the lock tolerates someone who writes to the image meanwhile, as with
///     `qemu-img -U`; only for reading
/// @param discard what a discard does
public record FileOptions(
        Path path,
        boolean readOnly,
        CacheMode cache,
        Locking locking,
        boolean shareWriters,
        Discard discard) {

    /// Whether QEMU's byte-range locks are taken.
    public enum Locking {
        /// Yes; a file system that has no locks is an error.
        ON,
        /// No.
        OFF,
        /// Yes, unless the file system has no locks.
        AUTO
    }

    /// What a discard does.
    public enum Discard {
        /// It releases the space.
        UNMAP,
        /// Nothing.
        IGNORE
    }

    /// Checks that sharing is only asked for by readers.
    public FileOptions {
        if (shareWriters && !readOnly) {
            throw new IllegalArgumentException("only a reader can share an image with a writer");
        }
    }

    /// The defaults: to be written to, write-back, locked if possible, discards release space.
    public static FileOptions of(Path path) {
        return new FileOptions(
                path, false, CacheMode.WRITEBACK, Locking.AUTO, false, Discard.UNMAP);
    }

    /// The same, for reading only.
    public FileOptions asReadOnly() {
        return new FileOptions(path, true, cache, locking, shareWriters, discard);
    }

    /// The same, for reading beside someone who may be writing.
    public FileOptions sharedWithWriters() {
        return new FileOptions(path, true, cache, locking, true, discard);
    }

    /// The same with another cache mode.
    public FileOptions with(CacheMode mode) {
        return new FileOptions(path, readOnly, mode, locking, shareWriters, discard);
    }

    /// The same with another way of locking.
    public FileOptions with(Locking way) {
        return new FileOptions(path, readOnly, cache, way, shareWriters, discard);
    }

    /// The same with another meaning of discard.
    public FileOptions with(Discard meaning) {
        return new FileOptions(path, readOnly, cache, locking, shareWriters, meaning);
    }
}
