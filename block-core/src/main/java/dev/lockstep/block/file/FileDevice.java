package dev.lockstep.block.file;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileOptions.Discard;
import dev.lockstep.block.graph.Resizable;
import dev.lockstep.block.graph.SharedAlignment;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;

/// A regular file or a block device of this host.
///
/// A length that is no multiple of 512 is rounded up: the bytes after the end of the file read as
/// zeroes, and writing there makes the file longer.
///
/// With `O_DIRECT` everything is a multiple of the device's alignment, buffers too; the gate sees
/// to that.
public final class FileDevice implements BlockDevice, SharedAlignment, Resizable {
    /// The most that is read on a thread that must not block: copying it takes some 100 us.
    private static final int READ_NOW_MAX_BYTES = 1 << 20;

    /// The most that is written on a thread that must not block. The page cache takes memory for it
    /// and locks the file meanwhile; copying this much takes some 50 us.
    private static final int WRITE_NOW_MAX_BYTES = 256 << 10;

    /// A page that is only partly written may have to be read first.
    private static final int PAGE_MASK = FileSpace.PAGE_BYTES - 1;

    /// Heap buffers are copied in steps of this size: large enough to be cheap a byte.
    private static final int BOUNCE_BYTES = 256 << 10;

    private final String description;
    private final OpenFile file;
    private final FileSpace space;
    private final CacheMode cache;
    private final Capabilities capabilities;
    private final boolean canWriteNow;
    private final IoPool pool = new IoPool();
    private final InlineWrites inlineWrites = new InlineWrites();
    private final Flusher flusher = new Flusher(this::sync);
    private final RangeLock blockLock;

    /// Guards: growth, which must never make the file shorter.
    private final ReentrantLock growing = new ReentrantLock();

    private final AtomicBoolean closed = new AtomicBoolean();

    private FileDevice(
            String description, OpenFile file, CacheMode cache, boolean readOnly, Discard discard) {
        this.description = description;
        this.file = file;
        this.cache = cache;
        space = new FileSpace(this, file);
        blockLock = new RangeLock(file.alignment());
        canWriteNow = !cache.direct() && !cache.writeThrough();
        boolean syncsItself = cache.writeThrough() || cache == CacheMode.UNSAFE;
        capabilities =
                new Capabilities(
                        readOnly,
                        syncsItself ? Support.NATIVE : Support.EMULATED,
                        Support.NATIVE,
                        discard == Discard.UNMAP ? Support.NATIVE : Support.NONE,
                        file.alignment(),
                        cache.direct(),
                        Math.max(FileSpace.PAGE_BYTES, file.alignment()),
                        true);
    }

    /// Opens a file that exists.
    ///
    /// @throws BlockException with one sentence for people that names the file and says what to do
    public static FileDevice open(FileOptions options) throws BlockException {
        return new FileDevice(
                "file " + options.path(),
                FileOpener.open(options),
                options.cache(),
                options.readOnly(),
                options.discard());
    }

    /// Makes a file of `length` bytes that takes no space yet, and opens it.
    ///
    /// @throws BlockException also if there is such a file
    public static FileDevice create(FileOptions options, long length) throws BlockException {
        FileOpener.create(options.path(), length);
        return open(options);
    }

    /// A device of `length` bytes in RAM, outside the Java heap, of which only what was written
    /// takes memory. Closing it releases that.
    ///
    /// @param name for people: `/proc/PID/fd` shows it
    public static FileDevice inMemory(String name, long length) throws BlockException {
        return new FileDevice(
                "RAM file " + name,
                FileOpener.inMemory(name, length),
                CacheMode.UNSAFE,
                false,
                Discard.UNMAP);
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public long size() {
        return file.size();
    }

    /// The space that the file takes on its file system, in bytes.
    public long allocatedBytes() {
        return closed.get() ? 0 : Posix.stat(file.fd()).allocated();
    }

    @Override
    public Capabilities capabilities() {
        return capabilities;
    }

    @Override
    public RangeLock blockLock() {
        return blockLock;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        if (Thread.currentThread().isVirtual() && readNow(offset, target)) {
            return;
        }
        this.<@Nullable Void>blocking(
                () -> {
                    readBlocking(offset, target);
                    return null;
                });
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) {
        int count = target.remaining();
        if (count > READ_NOW_MAX_BYTES || !target.isDirect() || closed.get()) {
            return false;
        }
        long address = address(target);
        long got;
        if (file.inMemory()) {
            got = Posix.preadNow(file.fd(), address, count, offset);
        } else if (file.noWait()) {
            got = Posix.preadNoWaitNow(file.fd(), address, count, offset);
        } else {
            return false;
        }
        // Less than all: the rest is not cached, or the file ends. Both are rare.
        if (got != count) {
            return false;
        }
        target.position(target.limit());
        return true;
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        long end = offset + source.remaining();
        if (!writeAtOnce(offset, source)) {
            slowly(
                    () -> {
                        writeBlocking(end - source.remaining(), source);
                        return null;
                    });
        }
        if (cache.writeThrough()) {
            flush();
        }
    }

    /// Writes on this virtual thread for as long as that does not wait: a large payload in pieces
    /// that stay in the core's cache, which spares the way to the pool and back.
    ///
    /// @return false if some of the source, or all of it, is still to be written
    private boolean writeAtOnce(long offset, ByteBuffer source) {
        if (!Thread.currentThread().isVirtual()) {
            return false;
        }
        int end = source.limit();
        for (long at = offset; source.position() < end; ) {
            int step = Math.min(WRITE_NOW_MAX_BYTES, end - source.position());
            source.limit(source.position() + step);
            boolean written = writeNow(at, source);
            source.limit(end);
            if (!written) {
                return false;
            }
            at += step;
        }
        return true;
    }

    /// A write that was cut short answers false too: the blocking one that follows does it again
    /// and says what stopped it, a full disk for instance.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) {
        int count = source.remaining();
        if (!canWriteNow || count > WRITE_NOW_MAX_BYTES || !source.isDirect() || closed.get()) {
            return false;
        }
        long done;
        if (file.inMemory()) {
            done = Posix.pwriteNow(file.fd(), address(source), count, offset);
        } else if (((offset | count) & PAGE_MASK) == 0) {
            done = inlineWrites.write(file.fd(), address(source), count, offset);
        } else {
            return false;
        }
        if (done != count) {
            return false;
        }
        source.position(source.limit());
        return true;
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        boolean mayUnmap = flags.contains(WriteFlag.MAY_UNMAP);
        boolean fast = flags.contains(WriteFlag.FAST);
        slowly(
                () -> {
                    if (file.block()) {
                        zeroPages(offset, length, mayUnmap, fast);
                    } else {
                        space.zero(offset, length, mayUnmap, fast);
                    }
                    return null;
                });
        if (cache.writeThrough()) {
            flush();
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        slowly(
                () -> {
                    space.discard(offset, length);
                    return null;
                });
    }

    @Override
    public void flush() throws BlockException {
        if (cache != CacheMode.UNSAFE) {
            flusher.flush();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return blocking(() -> space.extents(offset, length));
    }

    @Override
    public long remeasure() {
        if (!closed.get()) {
            file.remeasure();
        }
        return size();
    }

    @Override
    public void resize(long bytes) throws BlockException {
        if (file.block()) {
            throw new BlockException(
                    Kind.UNSUPPORTED, description + ": a block device is as long as it is");
        }
        if (bytes < 0 || bytes % file.unit() != 0) {
            throw new BlockException(
                    Kind.INVALID,
                    "%s: it cannot have %d bytes, which are no multiple of %d"
                            .formatted(description, bytes, file.unit()));
        }
        slowly(
                () -> {
                    int result = Posix.ftruncate(file.fd(), bytes);
                    if (result < 0) {
                        throw new BlockException(
                                Errno.kind(result),
                                "%s: resize to %d bytes: %s"
                                        .formatted(description, bytes, Errno.text(result)));
                    }
                    return null;
                });
        file.end().set(bytes);
    }

    @Override
    public void grow(long bytes) throws BlockException {
        growing.lock();
        try {
            if (bytes > size()) {
                if (file.block()) {
                    throw new BlockException(
                            Kind.NO_SPACE,
                            "%s: the image needs %d bytes, and the block device has only %d"
                                    .formatted(description, bytes, size()));
                }
                resize(bytes);
            }
        } finally {
            growing.unlock();
        }
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            Posix.close(file.fd());
        }
    }

    @Override
    public String toString() {
        return description;
    }

    private @Nullable Void sync() throws BlockException {
        slowly(
                () -> {
                    int result;
                    do {
                        result = Posix.fdatasync(file.fd());
                    } while (Errno.EINTR.is(result));
                    if (result < 0) {
                        throw new BlockException(
                                Errno.kind(result),
                                "%s: flush: %s".formatted(description, Errno.text(result)));
                    }
                    return null;
                });
        return null;
    }

    /// Makes a call that may block. A closed descriptor's number may by now be another file's.
    private <T extends @Nullable Object> T blocking(IoCall<T> call) throws BlockException {
        if (closed.get()) {
            throw new BlockException(Kind.GONE, description + " is closed");
        }
        return pool.call(call);
    }

    /// Makes a call that may hold the file's lock in the kernel for long.
    private void slowly(IoCall<@Nullable Void> call) throws BlockException {
        inlineWrites.slowRequestBegins();
        try {
            blocking(call);
        } finally {
            inlineWrites.slowRequestEnds();
        }
    }

    private void readBlocking(long offset, ByteBuffer target) throws BlockException {
        if (target.isDirect()) {
            readFully(offset, address(target), target.remaining());
            target.position(target.limit());
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bounce = bounce(arena, target);
            while (target.hasRemaining()) {
                int step = (int) Math.min(bounce.byteSize(), target.remaining());
                readFully(offset, bounce.address(), step);
                target.put(bounce.asByteBuffer().limit(step));
                offset += step;
            }
        }
    }

    private void writeBlocking(long offset, ByteBuffer source) throws BlockException {
        if (source.isDirect()) {
            writeFully(offset, address(source), source.remaining());
            source.position(source.limit());
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bounce = bounce(arena, source);
            while (source.hasRemaining()) {
                int step = (int) Math.min(bounce.byteSize(), source.remaining());
                bounce.asByteBuffer().put(source.slice(source.position(), step));
                source.position(source.position() + step);
                writeFully(offset, bounce.address(), step);
                offset += step;
            }
        }
    }

    private MemorySegment bounce(Arena arena, ByteBuffer buffer) {
        return arena.allocate(Math.min(BOUNCE_BYTES, buffer.remaining()), file.alignment());
    }

    private void readFully(long offset, long address, long count) throws BlockException {
        for (long done = 0; done < count; ) {
            long got = Posix.pread(file.fd(), address + done, count - done, offset + done);
            if (got < 0 && !Errno.EINTR.is(got)) {
                throw Errno.failure(this, "read", offset, count, got);
            }
            done += Math.max(got, 0);
            boolean ended = got == 0 || (got > 0 && got % file.alignment() != 0);
            if (ended && done < count) {
                if (offset + done < file.length()) {
                    throw BlockException.at(
                            Kind.IO, this, "read", offset, count, "the file was made shorter");
                }
                Posix.fillWithZeroes(address + done, count - done);
                return;
            }
        }
    }

    private void writeFully(long offset, long address, long count) throws BlockException {
        for (long done = 0; done < count; ) {
            long put = Posix.pwrite(file.fd(), address + done, count - done, offset + done);
            if (put < 0 && !Errno.EINTR.is(put)) {
                throw Errno.failure(this, "write", offset, count, put);
            }
            done += Math.max(put, 0);
        }
    }

    /// Zeroes the whole pages of a range by telling the drive, and what is left by writing.
    private void zeroPages(long offset, long length, boolean mayUnmap, boolean fast)
            throws BlockException {
        long end = offset + length;
        long firstPage = Math.min((offset + PAGE_MASK) & ~PAGE_MASK, end);
        long lastPage = Math.max(end & ~PAGE_MASK, firstPage);
        if (firstPage < lastPage) {
            space.zero(firstPage, lastPage - firstPage, mayUnmap, fast);
        }
        try (Arena arena = Arena.ofConfined()) {
            long zeroes = arena.allocate(FileSpace.PAGE_BYTES, FileSpace.PAGE_BYTES).address();
            writeFully(offset, zeroes, firstPage - offset);
            writeFully(lastPage, zeroes, end - lastPage);
        }
    }

    private static long address(ByteBuffer buffer) {
        return MemorySegment.ofBuffer(buffer).address();
    }
}
