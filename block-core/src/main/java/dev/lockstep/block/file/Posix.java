package dev.lockstep.block.file;

import dev.lockstep.block.posix.Libc;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// The system calls of 64-bit Linux that files need, like a C header. No policy lives here.
///
/// A call that fails returns minus its error number, as the kernel itself does. Those named
/// `...Now` are the hot ones: they never allocate, and whoever makes them falls back to the
/// blocking call if they fail.
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

    private static final Libc.Function OPEN = Libc.function("open");
    private static final Libc.Function CLOSE = Libc.function("close");
    private static final Libc.Function PREAD = Libc.function("pread64");
    private static final Libc.Function PWRITE = Libc.function("pwrite64");
    private static final Libc.Function PREADV2 = Libc.function("preadv2");
    private static final Libc.Function FDATASYNC = Libc.function("fdatasync");
    private static final Libc.Function FALLOCATE = Libc.function("fallocate");
    private static final Libc.Function FTRUNCATE = Libc.function("ftruncate");
    private static final Libc.Function LSEEK = Libc.function("lseek");
    private static final Libc.Function STATX = Libc.function("statx");
    private static final Libc.Function FSTATFS = Libc.function("fstatfs");
    private static final Libc.Function IOCTL = Libc.function("ioctl");
    private static final Libc.Function FCNTL = Libc.function("fcntl");
    private static final Libc.Function MEMFD_CREATE = Libc.function("memfd_create");
    private static final Libc.Function GETRUSAGE = Libc.function("getrusage");

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

        private static Stat of(ByteBuffer statx) {
            int type = statx.getShort(MODE) & 0xf000;
            return new Stat(
                    type == 0x8000,
                    type == 0x6000,
                    type == 0x4000,
                    statx.getLong(SIZE),
                    statx.getLong(BLOCKS) * BLOCK_BYTES,
                    Math.max(statx.getInt(DIO_MEM_ALIGN), statx.getInt(DIO_OFFSET_ALIGN)));
        }
    }

    private Posix() {}

    static int open(String path, int flags, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            return intCall(OPEN, Libc.text(arena, path), flags, mode);
        }
    }

    static int close(int fd) {
        return intCall(CLOSE, fd);
    }

    static long pread(int fd, long address, long length, long offset) {
        return call(PREAD, fd, address, length, offset, 0);
    }

    static long pwrite(int fd, long address, long length, long offset) {
        return call(PWRITE, fd, address, length, offset, 0);
    }

    /// Whether a read of this file can be told not to wait. Asked by doing it.
    static long probeNoWait(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            long iovec = Scratch.ofThread().iovec(arena.allocate(1).address(), 1);
            return call(PREADV2, fd, iovec, 1, 0, RWF_NOWAIT);
        }
    }

    /// Reads what is in the page cache and never waits for a disk.
    static long preadNoWaitNow(int fd, long address, long length, long offset) {
        Scratch scratch = Scratch.take();
        if (scratch == null) {
            return -1;
        }
        try {
            long iovec = scratch.iovec(address, length);
            return PREADV2.call(scratch.errno, fd, iovec, 1, offset, RWF_NOWAIT, 0);
        } finally {
            scratch.giveBack();
        }
    }

    static long preadNow(int fd, long address, long length, long offset) {
        return now(PREAD, fd, address, length, offset);
    }

    static long pwriteNow(int fd, long address, long length, long offset) {
        return now(PWRITE, fd, address, length, offset);
    }

    private static long now(
            Libc.Function function, int fd, long address, long length, long offset) {
        Scratch scratch = Scratch.take();
        if (scratch == null) {
            return -1;
        }
        try {
            return function.call(scratch.errno, fd, address, length, offset, 0, 0);
        } finally {
            scratch.giveBack();
        }
    }

    static int fdatasync(int fd) {
        return intCall(FDATASYNC, fd);
    }

    static int fallocate(int fd, int mode, long offset, long length) {
        return intCall(FALLOCATE, fd, mode, offset, length, 0);
    }

    static int ftruncate(int fd, long length) {
        return intCall(FTRUNCATE, fd, length);
    }

    static long lseek(int fd, long offset, int whence) {
        return call(LSEEK, fd, offset, whence, 0, 0);
    }

    /// What is known of an open descriptor, which never fails.
    static Stat stat(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            long here = Libc.text(arena, "");
            int mask = STATX_BASIC_STATS | STATX_DIOALIGN;
            int result = intCall(STATX, fd, here, AT_EMPTY_PATH, mask, out.address());
            if (result < 0) {
                throw new IllegalStateException("statx: " + Errno.text(result));
            }
            return Stat.of(fields(out));
        }
    }

    /// The magic number of the file system that a file is on.
    static long fileSystem(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Stat.BYTES, Long.BYTES);
            int result = intCall(FSTATFS, fd, out.address());
            return result < 0 ? result : fields(out).getLong(0);
        }
    }

    /// An ioctl that answers with a number of 32 or 64 bits.
    static long ioctlNumber(int fd, long request) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Long.BYTES, Long.BYTES);
            int result = intCall(IOCTL, fd, request, out.address());
            return result < 0 ? result : fields(out).getLong(0);
        }
    }

    /// An ioctl that is told a range: `uint64_t[2]`.
    static int ioctlRange(int fd, long request, long offset, long length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment range = arena.allocate(2 * Long.BYTES, Long.BYTES);
            fields(range).putLong(offset).putLong(length);
            return intCall(IOCTL, fd, request, range.address());
        }
    }

    /// Locks one byte for this descriptor, shared with other readers of the byte.
    static int lockByte(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            return intCall(FCNTL, fd, F_OFD_SETLK, flock(arena, F_RDLCK, position).address());
        }
    }

    /// Whether another descriptor holds a lock on this byte: 1, 0 or a failure.
    static int byteIsLocked(int fd, long position) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment lock = flock(arena, F_WRLCK, position);
            int result = intCall(FCNTL, fd, F_OFD_GETLK, lock.address());
            if (result < 0) {
                return result;
            }
            return fields(lock).getShort(0) == F_UNLCK ? 0 : 1;
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
                            GETRUSAGE.call(
                                    scratch.errno, RUSAGE_THREAD, scratch.rusage(), 0, 0, 0, 0);
            return result < 0 ? -1 : scratch.voluntarySwitches();
        } finally {
            scratch.giveBack();
        }
    }

    static int memfdCreate(String name) {
        try (Arena arena = Arena.ofConfined()) {
            return intCall(MEMFD_CREATE, Libc.text(arena, name), MFD_CLOEXEC);
        }
    }

    static void fillWithZeroes(long address, long length) {
        MemorySegment.ofAddress(address).reinterpret(length).fill((byte) 0);
    }

    /// struct flock { short type, whence; off_t start, length; pid_t pid; }
    private static MemorySegment flock(Arena arena, short type, long position) {
        MemorySegment lock = arena.allocate(32, Long.BYTES);
        fields(lock).putShort(0, type).putLong(8, position).putLong(16, 1);
        return lock;
    }

    /// For what lies in memory. A buffer, as the JVM generates code for each type of value that a
    /// segment is asked for.
    private static ByteBuffer fields(MemorySegment memory) {
        return memory.asByteBuffer().order(ByteOrder.nativeOrder());
    }

    private static long call(Libc.Function function, long a, long b, long c, long d, long e) {
        Scratch scratch = Scratch.ofThread();
        return scratch.resultOf(function.call(scratch.errno, a, b, c, d, e, 0));
    }

    /// Calls a function whose result is an `int`.
    private static int intCall(Libc.Function function, long a, long b, long c, long d, long e) {
        Scratch scratch = Scratch.ofThread();
        int result = (int) function.call(scratch.errno, a, b, c, d, e, 0);
        return (int) scratch.resultOf(result);
    }

    private static int intCall(Libc.Function function, long a) {
        return intCall(function, a, 0, 0, 0, 0);
    }

    private static int intCall(Libc.Function function, long a, long b) {
        return intCall(function, a, b, 0, 0, 0);
    }

    private static int intCall(Libc.Function function, long a, long b, long c) {
        return intCall(function, a, b, c, 0, 0);
    }
}
