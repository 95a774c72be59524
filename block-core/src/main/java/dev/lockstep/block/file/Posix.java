package dev.lockstep.block.file;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/// The system calls of 64-bit Linux that files need, like a C header. No policy lives here.
///
/// A call that fails returns minus its error number, as the kernel itself does. Those named
/// `...Now` return -1 for any error instead: they are the hot ones, and whoever makes them falls
/// back to the blocking call, which then says what is wrong.
///
/// Addresses are passed as numbers; the caller keeps the memory alive and open.
@SuppressWarnings("restricted") // the one class that binds native functions for files
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

    private static final int RWF_NOWAIT = 0x8;
    private static final int RUSAGE_THREAD = 1;
    private static final int F_OFD_GETLK = 36;
    private static final int F_OFD_SETLK = 37;
    private static final short F_RDLCK = 0;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_BASIC_STATS = 0x7ff;
    private static final int STATX_DIOALIGN = 0x2000;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final Linker.Option VARIADIC = Linker.Option.firstVariadicArg(2);

    /// void *dlsym(void *handle, const char *name)
    private static final MethodHandle DLSYM =
            LINKER.downcallHandle(
                    LINKER.defaultLookup().findOrThrow("dlsym"),
                    FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS));

    /// int open(const char *path, int flags, mode_t mode)
    private static final MethodHandle OPEN =
            bind("open", JAVA_INT, VARIADIC, ADDRESS, JAVA_INT, JAVA_INT);

    /// int close(int fd)
    private static final MethodHandle CLOSE = bind("close", JAVA_INT, ERRNO, JAVA_INT);

    /// ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset)
    private static final MethodHandle PREAD =
            bind("pread64", JAVA_LONG, ERRNO, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    /// ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset)
    private static final MethodHandle PWRITE =
            bind("pwrite64", JAVA_LONG, ERRNO, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    /// ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
    private static final MethodHandle PREADV2 =
            bind("preadv2", JAVA_LONG, ERRNO, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_INT);

    /// int fdatasync(int fd)
    private static final MethodHandle FDATASYNC = bind("fdatasync", JAVA_INT, ERRNO, JAVA_INT);

    /// int fallocate(int fd, int mode, off_t offset, off_t length)
    private static final MethodHandle FALLOCATE =
            bind("fallocate", JAVA_INT, ERRNO, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);

    /// int ftruncate(int fd, off_t length)
    private static final MethodHandle FTRUNCATE =
            bind("ftruncate", JAVA_INT, ERRNO, JAVA_INT, JAVA_LONG);

    /// off_t lseek(int fd, off_t offset, int whence)
    private static final MethodHandle LSEEK =
            bind("lseek", JAVA_LONG, ERRNO, JAVA_INT, JAVA_LONG, JAVA_INT);

    /// int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out)
    private static final MethodHandle STATX =
            bind("statx", JAVA_INT, ERRNO, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS);

    /// int fstatfs(int fd, struct statfs *out)
    private static final MethodHandle FSTATFS = bind("fstatfs", JAVA_INT, ERRNO, JAVA_INT, ADDRESS);

    /// int ioctl(int fd, unsigned long request, void *argument)
    private static final MethodHandle IOCTL =
            bind("ioctl", JAVA_INT, VARIADIC, JAVA_INT, JAVA_LONG, ADDRESS);

    /// int fcntl(int fd, int command, struct flock *lock)
    private static final MethodHandle FCNTL =
            bind("fcntl", JAVA_INT, VARIADIC, JAVA_INT, JAVA_INT, ADDRESS);

    /// int getrusage(int who, struct rusage *out)
    private static final MethodHandle GETRUSAGE =
            LINKER.downcallHandle(
                    symbol("getrusage"), FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));

    /// int memfd_create(const char *name, unsigned flags)
    private static final MethodHandle MEMFD_CREATE =
            bind("memfd_create", JAVA_INT, ERRNO, ADDRESS, JAVA_INT);

    /// The same functions without an error number, for the calls that are made the most.
    private static final MethodHandle PREAD_NOW =
            bindNow("pread64", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    private static final MethodHandle PWRITE_NOW =
            bindNow("pwrite64", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    private static final MethodHandle PREADV2_NOW =
            bindNow("preadv2", JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_INT);

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
            MemorySegment errno = Scratch.ofThread().errno;
            return failed(
                    (int) OPEN.invokeExact(errno, arena.allocateFrom(path), flags, mode), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int close(int fd) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((int) CLOSE.invokeExact(errno, fd), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long pread(int fd, long address, long length, long offset) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((long) PREAD.invokeExact(errno, fd, address, length, offset), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long pwrite(int fd, long address, long length, long offset) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((long) PWRITE.invokeExact(errno, fd, address, length, offset), errno);
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
                    (long) PREADV2.invokeExact(errno, fd, scratch.iovec, 1, 0L, RWF_NOWAIT), errno);
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
            return (long) PREADV2_NOW.invokeExact(fd, scratch.iovec, 1, offset, RWF_NOWAIT);
        } catch (Throwable e) {
            throw unexpected(e);
        } finally {
            scratch.giveBack();
        }
    }

    static long preadNow(int fd, long address, long length, long offset) {
        try {
            return (long) PREAD_NOW.invokeExact(fd, address, length, offset);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long pwriteNow(int fd, long address, long length, long offset) {
        try {
            return (long) PWRITE_NOW.invokeExact(fd, address, length, offset);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int fdatasync(int fd) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((int) FDATASYNC.invokeExact(errno, fd), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int fallocate(int fd, int mode, long offset, long length) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((int) FALLOCATE.invokeExact(errno, fd, mode, offset, length), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int ftruncate(int fd, long length) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((int) FTRUNCATE.invokeExact(errno, fd, length), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long lseek(int fd, long offset, int whence) {
        try {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed((long) LSEEK.invokeExact(errno, fd, offset, whence), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// What is known of an open descriptor, which never fails.
    static Stat stat(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Scratch.ofThread().errno;
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            int mask = STATX_BASIC_STATS | STATX_DIOALIGN;
            int result =
                    (int)
                            STATX.invokeExact(
                                    errno, fd, arena.allocateFrom(""), AT_EMPTY_PATH, mask, out);
            if (result < 0) {
                throw new IllegalStateException("statx: " + Errno.text(failed(result, errno)));
            }
            return Stat.of(out);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// The magic number of the file system that a file is on.
    static long fileSystem(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Scratch.ofThread().errno;
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            int result = failed((int) FSTATFS.invokeExact(errno, fd, out), errno);
            return result < 0 ? result : out.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// An ioctl that answers with a number of 32 or 64 bits.
    static long ioctlNumber(int fd, long request) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Scratch.ofThread().errno;
            MemorySegment out = arena.allocate(JAVA_LONG);
            int result = failed((int) IOCTL.invokeExact(errno, fd, request, out), errno);
            return result < 0 ? result : out.get(JAVA_LONG, 0);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// An ioctl that is told a range: `uint64_t[2]`.
    static int ioctlRange(int fd, long request, long offset, long length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Scratch.ofThread().errno;
            MemorySegment range = arena.allocateFrom(JAVA_LONG, offset, length);
            return failed((int) IOCTL.invokeExact(errno, fd, request, range), errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// Locks one byte for this descriptor, shared with other readers of the byte.
    static int lockByte(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            return fcntl(fd, F_OFD_SETLK, flock(arena, F_RDLCK, position));
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    /// Whether another descriptor holds a lock on this byte: 1, 0 or a failure.
    static int byteIsLocked(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = flock(arena, F_WRLCK, position);
            int result = fcntl(fd, F_OFD_GETLK, lock);
            if (result < 0) {
                return result;
            }
            return lock.get(JAVA_SHORT, 0) == F_UNLCK ? 0 : 1;
        } catch (Throwable e) {
            throw unexpected(e);
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
            int result = (int) GETRUSAGE.invokeExact(RUSAGE_THREAD, scratch.rusage);
            return result < 0 ? -1 : scratch.voluntarySwitches();
        } catch (Throwable e) {
            throw unexpected(e);
        } finally {
            scratch.giveBack();
        }
    }

    static int memfdCreate(String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Scratch.ofThread().errno;
            return failed(
                    (int) MEMFD_CREATE.invokeExact(errno, arena.allocateFrom(name), MFD_CLOEXEC),
                    errno);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static void fillWithZeroes(long address, long length) {
        MemorySegment.ofAddress(address).reinterpret(length).fill((byte) 0);
    }

    private static int fcntl(int fd, int command, MemorySegment lock) throws Throwable {
        MemorySegment errno = Scratch.ofThread().errno;
        return failed((int) FCNTL.invokeExact(errno, fd, command, lock), errno);
    }

    /// struct flock { short type, whence; off_t start, length; pid_t pid; }
    private static MemorySegment flock(Arena arena, short type, long position) {
        MemorySegment lock = arena.allocate(32, Long.BYTES);
        lock.set(JAVA_SHORT, 0, type);
        lock.set(JAVA_LONG, 8, position);
        lock.set(JAVA_LONG, 16, 1);
        return lock;
    }

    private static int failed(int result, MemorySegment errno) {
        return result >= 0 ? result : -errno.get(JAVA_INT, 0);
    }

    private static long failed(long result, MemorySegment errno) {
        return result >= 0 ? result : -errno.get(JAVA_INT, 0);
    }

    private static MethodHandle bind(
            String name, ValueLayout result, Linker.Option option, MemoryLayout... arguments) {
        FunctionDescriptor signature = FunctionDescriptor.of(result, arguments);
        return option.equals(VARIADIC)
                ? LINKER.downcallHandle(symbol(name), signature, VARIADIC, ERRNO)
                : LINKER.downcallHandle(symbol(name), signature, ERRNO);
    }

    private static MethodHandle bindNow(String name, MemoryLayout... arguments) {
        return LINKER.downcallHandle(symbol(name), FunctionDescriptor.of(JAVA_LONG, arguments));
    }

    /// Looks a function up as the dynamic linker would for a C program, so that a preloaded library
    /// can stand in for it: that is how faults are injected. The linker's own lookup sees only
    /// libc.
    private static MemorySegment symbol(String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment found =
                    (MemorySegment) DLSYM.invokeExact(MemorySegment.NULL, arena.allocateFrom(name));
            return found.equals(MemorySegment.NULL)
                    ? LINKER.defaultLookup().findOrThrow(name)
                    : found;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private static RuntimeException unexpected(Throwable e) {
        return switch (e) {
            case RuntimeException runtime -> runtime;
            case Error error -> throw error;
            default -> new IllegalStateException(e);
        };
    }
}
