package dev.lockstep.block;

import java.nio.ByteBuffer;
import java.util.concurrent.ArrayBlockingQueue;

/// Direct buffers for copying, kept since a fresh one costs more than a small copy.
public final class CopyBuffers {
    /// The largest copy in one step; a multiple of every sensible cluster.
    public static final int BYTES = 256 << 10;

    /// Files that are opened past the page cache want whole pages.
    private static final int PAGE_BYTES = 4096;

    /// At most 4 MiB are kept for later; more may be in use at once, one for each copying request.
    private static final int KEPT_MAX = 16;

    private static final ArrayBlockingQueue<ByteBuffer> KEPT = new ArrayBlockingQueue<>(KEPT_MAX);

    private CopyBuffers() {}

    /// A buffer of [#BYTES] bytes, to be given back.
    public static ByteBuffer take() {
        ByteBuffer kept = KEPT.poll();
        return kept == null
                ? ByteBuffer.allocateDirect(BYTES + PAGE_BYTES)
                        .alignedSlice(PAGE_BYTES)
                        .slice(0, BYTES)
                : kept.clear();
    }

    /// Takes one back; whoever had it does not touch it any more.
    public static void giveBack(ByteBuffer buffer) {
        KEPT.offer(buffer);
    }
}
