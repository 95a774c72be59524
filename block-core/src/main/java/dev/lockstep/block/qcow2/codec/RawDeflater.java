package dev.lockstep.block.qcow2.codec;

import java.nio.ByteBuffer;

/// One thread's state of deflating.
interface RawDeflater {
    /// Deflates everything that remains in `source`.
    ///
    /// @return how many bytes of `target` it took, or -1 if they were too few
    int deflate(ByteBuffer source, ByteBuffer target);

    /// Frees it.
    void close();
}
