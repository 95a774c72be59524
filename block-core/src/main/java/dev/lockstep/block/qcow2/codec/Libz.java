package dev.lockstep.block.qcow2.codec;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.NoSuchElementException;

/// The part of zlib.h that deflates, of the libz that the machine has.
@SuppressWarnings("restricted") // the one class that binds native functions for compression
final class Libz {
    // z_stream, on any 64-bit Linux
    private static final long NEXT_IN = 0;
    private static final long AVAIL_IN = 8;
    private static final long NEXT_OUT = 24;
    private static final long AVAIL_OUT = 32;
    private static final long TOTAL_OUT = 40;
    private static final int STREAM_BYTES = 112;

    private static final int Z_OK = 0;
    private static final int Z_STREAM_END = 1;
    private static final int Z_FINISH = 4;
    private static final int Z_DEFAULT_COMPRESSION = -1;
    private static final int Z_DEFAULT_STRATEGY = 0;
    private static final int Z_DEFLATED = 8;

    /// zlib's default. QEMU's 9 costs a fifth more time for not a byte less: tables that small
    /// windows cannot fill are cleared for every cluster.
    private static final int MEM_LEVEL = 8;

    /// int deflateInit2_(z_stream *, int level, int method, int windowBits, int memLevel, int
    /// strategy, const char *version, int stream_size)
    private final MethodHandle deflateInit;

    /// int deflate(z_stream *, int flush)
    private final MethodHandle deflate;

    /// int deflateReset(z_stream *)
    private final MethodHandle deflateReset;

    /// int deflateEnd(z_stream *)
    private final MethodHandle deflateEnd;

    private Libz(SymbolLookup library) {
        deflateInit =
                bind(
                        library,
                        "deflateInit2_",
                        FunctionDescriptor.of(
                                JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
                                ADDRESS, JAVA_INT));
        deflate = bind(library, "deflate", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
        deflateReset = bind(library, "deflateReset", FunctionDescriptor.of(JAVA_INT, ADDRESS));
        deflateEnd = bind(library, "deflateEnd", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    }

    /// The machine's libz, or null if it has none.
    static @Nullable Libz find() {
        try {
            return new Libz(SymbolLookup.libraryLookup("libz.so.1", Arena.global()));
        } catch (IllegalArgumentException | NoSuchElementException _) {
            return null;
        }
    }

    /// A state of its own.
    RawDeflater deflater() {
        return new Stream();
    }

    private static MethodHandle bind(
            SymbolLookup library, String name, FunctionDescriptor signature) {
        return Linker.nativeLinker().downcallHandle(library.findOrThrow(name), signature);
    }

    private static IllegalStateException unexpected(Throwable e) {
        return new IllegalStateException("a call of libz failed", e);
    }

    private final class Stream implements RawDeflater {
        private final Arena arena = Arena.ofShared();
        private final MemorySegment stream = arena.allocate(STREAM_BYTES, Long.BYTES);

        Stream() {
            // Only the first digit of the version has to agree.
            MemorySegment version = arena.allocateFrom("1");
            try {
                int result =
                        (int)
                                deflateInit.invokeExact(
                                        stream,
                                        Z_DEFAULT_COMPRESSION,
                                        Z_DEFLATED,
                                        -DeflateCodec.WINDOW_BITS,
                                        MEM_LEVEL,
                                        Z_DEFAULT_STRATEGY,
                                        version,
                                        STREAM_BYTES);
                if (result != Z_OK) {
                    throw new OutOfMemoryError("deflateInit2 of libz failed: " + result);
                }
            } catch (Error e) {
                arena.close();
                throw e;
            } catch (Throwable e) {
                throw unexpected(e);
            }
        }

        @Override
        public int deflate(ByteBuffer source, ByteBuffer target) {
            try {
                int reset = (int) deflateReset.invokeExact(stream);
                assert reset == Z_OK;
                stream.set(JAVA_LONG, NEXT_IN, MemorySegment.ofBuffer(source).address());
                stream.set(JAVA_INT, AVAIL_IN, source.remaining());
                stream.set(JAVA_LONG, NEXT_OUT, MemorySegment.ofBuffer(target).address());
                stream.set(JAVA_INT, AVAIL_OUT, target.remaining());
                int result = (int) deflate.invokeExact(stream, Z_FINISH);
                return result == Z_STREAM_END ? (int) stream.get(JAVA_LONG, TOTAL_OUT) : -1;
            } catch (Throwable e) {
                throw unexpected(e);
            } finally {
                Reference.reachabilityFence(source);
                Reference.reachabilityFence(target);
            }
        }

        @Override
        public void close() {
            try {
                int result = (int) deflateEnd.invokeExact(stream);
                // Z_DATA_ERROR where a stream was given up halfway, which is no error here.
                assert result <= Z_OK;
            } catch (Throwable e) {
                throw unexpected(e);
            }
            arena.close();
        }
    }
}
