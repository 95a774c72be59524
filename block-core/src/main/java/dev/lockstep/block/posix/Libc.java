package dev.lockstep.block.posix;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.util.Arrays;

/// Functions of the C library on 64-bit Linux, all with one signature: six `long`s to a `long`.
///
/// The JVM generates code for each *signature* that it meets, and a dozen of them took a third of a
/// server's start. One serves all functions that take up to six integers or addresses: both ABIs
/// (x86_64 and aarch64) pass that many in registers, the first parameter in the first of them
/// whatever the width, and a function neither sees nor minds those that it does not take; a
/// variadic one finds its integers in the same registers.
///
/// - What is narrower than a `long` is widened by the caller.
/// - **A result that C calls `int` must be narrowed to `int`**: the upper half is not defined.
/// - Addresses are numbers. The caller keeps the memory alive.
@SuppressWarnings("restricted") // the one class that binds functions of the C library
public final class Libc {
    private static final int PARAMETERS = 6;

    private static final FunctionDescriptor SIGNATURE =
            FunctionDescriptor.of(
                    JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    private static final Linker LINKER = Linker.nativeLinker();

    private static final MethodHandle ANY = LINKER.downcallHandle(SIGNATURE);

    /// Holds its own state, so that what only calls rare functions never generates it.
    private static final class WithErrno {
        static final MethodHandle ANY =
                LINKER.downcallHandle(SIGNATURE, Linker.Option.captureCallState("errno"));

        private WithErrno() {}
    }

    private static final MethodHandle DLSYM =
            bound(ANY, LINKER.defaultLookup().findOrThrow("dlsym"));

    private Libc() {}

    /// A function whose error number nobody will ask for: `(long, long, long, long, long, long)
    /// long`.
    public static MethodHandle bind(String name) {
        return bound(ANY, symbol(name));
    }

    /// A function that leaves its error number in the first argument, a segment of
    /// [Linker.Option#captureStateLayout]: `(MemorySegment, long, long, long, long, long, long)
    /// long`.
    public static MethodHandle bindWithErrno(String name) {
        return bound(WithErrno.ANY, symbol(name));
    }

    /// Calls a function that is called rarely: it is looked up each time.
    ///
    /// @param arguments at most six
    /// @return its result, if that is an `int`
    public static int call(String name, long... arguments) {
        long[] a = Arrays.copyOf(arguments, PARAMETERS);
        try {
            return (int) (long) bind(name).invokeExact(a[0], a[1], a[2], a[3], a[4], a[5]);
        } catch (Throwable e) {
            throw new IllegalStateException(name + " threw", e);
        }
    }

    /// Looks a function up as the dynamic linker would for a C program, so that a preloaded library
    /// can stand in for it: that is how faults are injected. The linker's own lookup sees only
    /// libc.
    private static MemorySegment symbol(String name) {
        try (Arena arena = Arena.ofConfined()) {
            long text = arena.allocateFrom(name).address();
            long found = (long) DLSYM.invokeExact(0L, text, 0L, 0L, 0L, 0L);
            return found == 0
                    ? LINKER.defaultLookup().findOrThrow(name)
                    : MemorySegment.ofAddress(found);
        } catch (Throwable e) {
            throw new IllegalStateException("no function " + name + " in the C library", e);
        }
    }

    private static MethodHandle bound(MethodHandle any, MemorySegment function) {
        return MethodHandles.insertArguments(any, 0, function);
    }
}
