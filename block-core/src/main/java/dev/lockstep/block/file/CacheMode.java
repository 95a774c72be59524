package dev.lockstep.block.file;

/// How much the host may hold back of what was written. The names are those of QEMU's `cache=`.
public enum CacheMode {
    /// Through the page cache; durable after a flush.
    WRITEBACK(false, false),
    /// Past the page cache (`O_DIRECT`); durable after a flush, since the drive has a cache too.
    NONE(true, false),
    /// Through the page cache; every write is durable when it returns.
    WRITETHROUGH(false, true),
    /// Past the page cache; every write is durable when it returns.
    DIRECTSYNC(true, true),
    /// Through the page cache; a flush does nothing. For data that may be lost with the host.
    UNSAFE(false, false);

    private final boolean direct;
    private final boolean writeThrough;

    CacheMode(boolean direct, boolean writeThrough) {
        this.direct = direct;
        this.writeThrough = writeThrough;
    }

    /// Whether it goes past the page cache.
    public boolean direct() {
        return direct;
    }

    /// Whether every write is durable when it returns.
    public boolean writeThrough() {
        return writeThrough;
    }
}
