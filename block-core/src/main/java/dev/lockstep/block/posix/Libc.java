package dev.lockstep.block.posix;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.NoSuchElementException;

/// Functions of the C library on 64-bit Linux, all with one signature: six `long`s to a `long`.
///
/// The JVM generates code for each *signature* that it meets, and a dozen of them took a third of a
/// server's start. One, which leaves the error number, serves all functions that take up to six
/// integers or addresses: both ABIs (x86_64 and aarch64) pass that many in registers, the first
/// parameter in the first of them whatever the width, and a function neither sees nor minds those
/// that it does not take; a variadic one finds its integers in the same registers.
///
/// - What is narrower than a `long` is widened by the caller.
/// - **A result that C calls `int` must be narrowed to `int`**: the upper half is not defined.
/// - Addresses are numbers. The caller keeps the memory alive.
///
/// For the same reason a function is called by its address, and not through a handle bound to it.
@SuppressWarnings("restricted") // the one class that binds functions of the C library
public final class Libc {
    private static final int PARAMETERS = 6;

    private static final Linker LINKER = Linker.nativeLinker();

    private static final MethodHandle ANY =
            LINKER.downcallHandle(
                    FunctionDescriptor.of(
                            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                            JAVA_LONG),
                    Linker.Option.captureCallState("errno"));

    private static final Function DLSYM = new Function(LINKER.defaultLookup().findOrThrow("dlsym"));

    /// Where a function is.
    public record Function(MemorySegment address) {
        /// Calls it.
        ///
        /// @param errno where the error number is left: at least [#ERRNO_BYTES] of native memory
        public long call(MemorySegment errno, long a, long b, long c, long d, long e, long f) {
            try {
                return (long) ANY.invokeExact(address, errno, a, b, c, d, e, f);
            } catch (RuntimeException | Error thrown) {
                throw thrown;
            } catch (Throwable thrown) {
                throw new IllegalStateException(thrown);
            }
        }
    }

    /// What an error number takes, aligned to as much.
    public static final int ERRNO_BYTES = Integer.BYTES;

    private Libc() {}

    /// Looks a function up as the dynamic linker would for a C program, so that a preloaded library
    /// can stand in for it: that is how faults are injected. The linker's own lookup sees only
    /// libc.
    public static Function function(String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_BYTES, ERRNO_BYTES);
            long found = DLSYM.call(errno, 0, text(arena, name), 0, 0, 0, 0);
            return new Function(
                    found == 0
                            ? LINKER.defaultLookup().findOrThrow(name)
                            : MemorySegment.ofAddress(found));
        } catch (NoSuchElementException e) {
            throw new IllegalStateException("no function " + name + " in the C library", e);
        }
    }

    /// Calls a function that is called rarely: it is looked up each time.
    ///
    /// @param arguments at most six
    /// @return its result, if that is an `int`
    public static int call(String name, long... arguments) {
        long[] a = Arrays.copyOf(arguments, PARAMETERS);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_BYTES, ERRNO_BYTES);
            return (int) function(name).call(errno, a[0], a[1], a[2], a[3], a[4], a[5]);
        }
    }

    /// The address of a C string.
    public static long text(Arena arena, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        MemorySegment string = arena.allocate(bytes.length + 1L);
        string.asByteBuffer().put(bytes);
        return string.address();
    }
}
