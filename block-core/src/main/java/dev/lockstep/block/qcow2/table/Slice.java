package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;

import org.jspecify.annotations.Nullable;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;

/// A part of an L2 table in memory. Words are read without a lock and changed under that of
/// [Mappings], one at a time.
final class Slice {
    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final long number;
    private final long[] words;
    private final CountDownLatch loading = new CountDownLatch(1);
    private volatile int changes;
    private volatile boolean loaded;
    private volatile @Nullable BlockException failure;

    /// Somebody looked at it since the cache last went by. Lost updates do no harm.
    private boolean used = true;

    /// It differs from what is in the file. Guarded by the lock of [Mappings].
    private boolean dirty;

    /// A commit that may fail is about to write it. Guarded by the lock of [Mappings].
    private boolean committing;

    Slice(long number, int words) {
        this.number = number;
        this.words = new long[words];
    }

    /// Which slice of the disk it is.
    long number() {
        return number;
    }

    /// Its words as they are written. Called with the lock of [Mappings].
    ByteBuffer copy() {
        return HostFile.bytes(words);
    }

    /// One word. Words of extended entries are read between two looks at [#changes].
    long word(int index) {
        return (long) WORD.getVolatile(words, index);
    }

    /// How often words were changed: odd while two that belong together are being changed.
    int changes() {
        return changes;
    }

    void word(int index, long value) {
        WORD.setVolatile(words, index, value);
    }

    /// Changes two words that belong together. Called with the lock of [Mappings].
    void words(int index, long first, long second) {
        int before = changes;
        changes = before + 1;
        word(index, first);
        word(index + 1, second);
        changes = before + 2;
    }

    boolean isLoaded() {
        return loaded;
    }

    /// Takes on what is in the file, once.
    void load(long[] content) {
        System.arraycopy(content, 0, words, 0, words.length);
        loaded = true;
        loading.countDown();
    }

    /// Says that it could not be read, to whoever waits.
    void fail(BlockException cause) {
        failure = cause;
        loading.countDown();
    }

    void awaitLoaded() throws BlockException {
        boolean interrupted = false;
        while (loading.getCount() > 0) {
            try {
                loading.await();
            } catch (InterruptedException _) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        BlockException cause = failure;
        if (cause != null) {
            throw cause.again();
        }
    }

    void use() {
        if (!used) {
            used = true;
        }
    }

    /// Whether it has been used since it was last asked this.
    boolean takeUsed() {
        boolean was = used;
        used = false;
        return was;
    }

    boolean isDirty() {
        return dirty;
    }

    void dirty(boolean value) {
        dirty = value;
    }

    boolean isCommitting() {
        return committing;
    }

    void committing(boolean value) {
        committing = value;
    }

    boolean canGo() {
        return loaded && !dirty && !committing;
    }
}
