package dev.lockstep.block.file;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.lockstep.block.posix.Libc;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// The system calls of 64-bit Linux that files need, like a C header. No policy lives here.
///
/// A call that fails returns minus its error number, as the kernel itself does. Those named
/// `...Now` return -1 for any error instead: they are the hot ones, and whoever makes them falls
/// back to the blocking call, which then says what is wrong.
///
/// Addresses are passed as numbers; the caller keeps the memory alive and open.
@SuppressWarnings("restricted") // memory is given by its address
final class Posix {
    // fcntl.h; the values of x86_64 and aarch64 differ only in O_DIRECT
    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_NONBLOCK = 0x800;
    static final int O_CLOEXEC = 0x80000;
    static final int O_DIRECT = System.getProperty("os.arch").equals("aarch64") ? 0x10000 : 0x4000;

    // unistd.h, linux/falloc.h, sys/mman.h, linux/fs.h
    static final int SEEK_DATA = 3;
    static final int SEEK_HOLE = 4;
    static final int FALLOC_FL_KEEP_SIZE = 0x01;
    static final int FALLOC_FL_PUNCH_HOLE = 0x02;
    static final int FALLOC_FL_ZERO_RANGE = 0x10;
    static final int MFD_CLOEXEC = 1;
    static final int BLKROGET = 0x125e;
    static final int BLKSSZGET = 0x1268;
    static final long BLKGETSIZE64 = 0x80081272L;
    static final int BLKDISCARD = 0x1277;
    static final int BLKZEROOUT = 0x127f;

    // linux/magic.h
    static final long TMPFS_MAGIC = 0x01021994L;
    static final long RAMFS_MAGIC = 0x858458f6L;

    private static final long RWF_NOWAIT = 0x8;
    private static final long RUSAGE_THREAD = 1;
    private static final int F_OFD_GETLK = 36;
    private static final int F_OFD_SETLK = 37;
    private static final short F_RDLCK = 0;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_BASIC_STATS = 0x7ff;
    private static final int STATX_DIOALIGN = 0x2000;

    private static final MethodHandle OPEN = Libc.bindWithErrno("open");
    private static final MethodHandle CLOSE = Libc.bindWithErrno("close");
    private static final MethodHandle PREAD = Libc.bindWithErrno("pread64");
    private static final MethodHandle PWRITE = Libc.bindWithErrno("pwrite64");
    private static final MethodHandle PREADV2 = Libc.bindWithErrno("preadv2");
    private static final MethodHandle FDATASYNC = Libc.bindWithErrno("fdatasync");
    private static final MethodHandle FALLOCATE = Libc.bindWithErrno("fallocate");
    private static final MethodHandle FTRUNCATE = Libc.bindWithErrno("ftruncate");
    private static final MethodHandle LSEEK = Libc.bindWithErrno("lseek");
    private static final MethodHandle STATX = Libc.bindWithErrno("statx");
    private static final MethodHandle FSTATFS = Libc.bindWithErrno("fstatfs");
    private static final MethodHandle IOCTL = Libc.bindWithErrno("ioctl");
    private static final MethodHandle FCNTL = Libc.bindWithErrno("fcntl");
    private static final MethodHandle MEMFD_CREATE = Libc.bindWithErrno("memfd_create");

    // Without an error number, for the calls that are made the most.
    private static final MethodHandle PREAD_NOW = Libc.bind("pread64");
    private static final MethodHandle PWRITE_NOW = Libc.bind("pwrite64");
    private static final MethodHandle PREADV2_NOW = Libc.bind("preadv2");
    private static final MethodHandle GETRUSAGE = Libc.bind("getrusage");

    /// What a file is, and how `O_DIRECT` must address it.
    ///
    /// @param allocated the space that it takes, in bytes
    /// @param directAlignment in bytes, for offsets, lengths and memory; 0 if unknown
    record Stat(
            boolean regular,
            boolean block,
            boolean directory,
            long length,
            long allocated,
            int directAlignment) {
        private static final int BYTES = 256;
        private static final int MODE = 28;
        private static final int SIZE = 40;
        private static final int BLOCKS = 48;
        private static final int BLOCK_BYTES = 512;
        private static final int DIO_MEM_ALIGN = 152;
        private static final int DIO_OFFSET_ALIGN = 156;

        private static Stat of(MemorySegment statx) {
            int type = statx.get(JAVA_SHORT, MODE) & 0xf000;
            int alignment =
                    Math.max(
                            statx.get(JAVA_INT, DIO_MEM_ALIGN),
                            statx.get(JAVA_INT, DIO_OFFSET_ALIGN));
            return new Stat(
                    type == 0x8000,
                    type == 0x6000,
                    type == 0x4000,
                    statx.get(JAVA_LONG, SIZE),
                    statx.get(JAVA_LONG, BLOCKS) * BLOCK_BYTES,
                    alignment);
        }
    }

    private Posix() {}

    static int open(String path, int flags, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            return call(OPEN, arena.allocateFrom(path).address(), flags, mode);
        }
    }

    static int close(int fd) {
        return call(CLOSE, fd);
    }

    static long pread(int fd, long address, long length, long offset) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed(
                    (long) PREAD.invokeExact(errno, (long) fd, address, length, offset, 0L, 0L),
                    errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long pwrite(int fd, long address, long length, long offset) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed(
                    (long) PWRITE.invokeExact(errno, (long) fd, address, length, offset, 0L, 0L),
                    errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// Whether a read of this file can be told not to wait. Asked by doing it.
    static long probeNoWait(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            Scratch scratch = Scratch.ofThread();
            scratch.setIovec(arena.allocate(1).address(), 1);
            MemorySegment errno = scratch.errno;
            return failed(
                    (long)
                            PREADV2.invokeExact(
                                    errno,
                                    (long) fd,
                                    scratch.iovec.address(),
                                    1L,
                                    0L,
                                    RWF_NOWAIT,
                                    0L),
                    errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// Reads what is in the page cache and never waits for a disk.
    static long preadNoWaitNow(int fd, long address, long length, long offset) {
        Scratch scratch = Scratch.take();
        if (scratch == null) {
            return -1;
        }
        try {
            scratch.setIovec(address, length);
            return (long)
                    PREADV2_NOW.invokeExact(
                            (long) fd, scratch.iovec.address(), 1L, offset, RWF_NOWAIT, 0L);
        } catch (Throwable e) {
            throw unexpected(e);
        } finally {
            scratch.giveBack();
        }
    }

    static long preadNow(int fd, long address, long length, long offset) {
        try {
            return (long) PREAD_NOW.invokeExact((long) fd, address, length, offset, 0L, 0L);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long pwriteNow(int fd, long address, long length, long offset) {
        try {
            return (long) PWRITE_NOW.invokeExact((long) fd, address, length, offset, 0L, 0L);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int fdatasync(int fd) {
        return call(FDATASYNC, fd);
    }

    static int fallocate(int fd, int mode, long offset, long length) {
        return call(FALLOCATE, fd, mode, offset, length, 0);
    }

    static int ftruncate(int fd, long length) {
        return call(FTRUNCATE, fd, length);
    }

    static long lseek(int fd, long offset, int whence) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed(
                    (long) LSEEK.invokeExact(errno, (long) fd, offset, (long) whence, 0L, 0L, 0L),
                    errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// What is known of an open descriptor, which never fails.
    static Stat stat(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            long here = arena.allocateFrom("").address();
            int mask = STATX_BASIC_STATS | STATX_DIOALIGN;
            int result = call(STATX, fd, here, AT_EMPTY_PATH, mask, out.address());
            if (result < 0) {
                throw new IllegalStateException("statx: " + Errno.text(result));
            }
            return Stat.of(out);
        }
    }

    /// The magic number of the file system that a file is on.
    static long fileSystem(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            int result = call(FSTATFS, fd, out.address());
            return result < 0 ? result : out.get(JAVA_LONG, 0);
        }
    }

    /// An ioctl that answers with a number of 32 or 64 bits.
    static long ioctlNumber(int fd, long request) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(JAVA_LONG);
            int result = call(IOCTL, fd, request, out.address());
            return result < 0 ? result : out.get(JAVA_LONG, 0);
        }
    }

    /// An ioctl that is told a range: `uint64_t[2]`.
    static int ioctlRange(int fd, long request, long offset, long length) {
        try (Arena arena = Arena.ofConfined()) {
            return call(
                    IOCTL, fd, request, arena.allocateFrom(JAVA_LONG, offset, length).address());
        }
    }

    /// Locks one byte for this descriptor, shared with other readers of the byte.
    static int lockByte(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            return call(FCNTL, fd, F_OFD_SETLK, flock(arena, F_RDLCK, position).address());
        }
    }

    /// Whether another descriptor holds a lock on this byte: 1, 0 or a failure.
    static int byteIsLocked(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = flock(arena, F_WRLCK, position);
            int result = call(FCNTL, fd, F_OFD_GETLK, lock.address());
            if (result < 0) {
                return result;
            }
            return lock.get(JAVA_SHORT, 0) == F_UNLCK ? 0 : 1;
        }
    }

    /// How often the calling thread gave up its core because it had to wait for something, as
    /// opposed to having it taken away; -1 if that cannot be told.
    static long waitsOfThread() {
        Scratch scratch = Scratch.take();
        if (scratch == null) {
            return -1;
        }
        try {
            int result =
                    (int)
                            (long)
                                    GETRUSAGE.invokeExact(
                                            RUSAGE_THREAD,
                                            scratch.rusage.address(),
                                            0L,
                                            0L,
                                            0L,
                                            0L);
            return result < 0 ? -1 : scratch.voluntarySwitches();
        } catch (Throwable e) {
            throw unexpected(e);
        } finally {
            scratch.giveBack();
        }
    }

    static int memfdCreate(String name) {
        try (Arena arena = Arena.ofConfined()) {
            return call(MEMFD_CREATE, arena.allocateFrom(name).address(), MFD_CLOEXEC);
        }
    }

    static void fillWithZeroes(long address, long length) {
        MemorySegment.ofAddress(address).reinterpret(length).fill((byte) 0);
    }

    /// struct flock { short type, whence; off_t start, length; pid_t pid; }
    private static MemorySegment flock(Arena arena, short type, long position) {
        MemorySegment lock = arena.allocate(32, Long.BYTES);
        lock.set(JAVA_SHORT, 0, type);
        lock.set(JAVA_LONG, 8, position);
        lock.set(JAVA_LONG, 16, 1);
        return lock;
    }

    private static long failed(long result, MemorySegment errno) {
        return result >= 0 ? result : -errno.get(JAVA_INT, 0);
    }

    /// Calls a function whose result is an `int`.
    private static int call(MethodHandle function, long a, long b, long c, long d, long e) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            int result = (int) (long) function.invokeExact(errno, a, b, c, d, e, 0L);
            return result >= 0 ? result : -errno.get(JAVA_INT, 0);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static int call(MethodHandle function, long a) {
        return call(function, a, 0, 0, 0, 0);
    }

    private static int call(MethodHandle function, long a, long b) {
        return call(function, a, b, 0, 0, 0);
    }

    private static int call(MethodHandle function, long a, long b, long c) {
        return call(function, a, b, c, 0, 0);
    }

    private static RuntimeException unexpected(Throwable e) {
        return switch (e) {
            case RuntimeException runtime -> runtime;
            case Error error -> throw error;
            default -> new IllegalStateException(e);
        };
    }
}
