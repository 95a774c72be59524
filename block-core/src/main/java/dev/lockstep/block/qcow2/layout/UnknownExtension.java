package dev.lockstep.block.qcow2.layout;

import java.nio.ByteBuffer;

/// A header extension of a type that is not known here, kept as it is.
///
/// @param type its number
/// @param data its bytes; read-only
public record UnknownExtension(int type, ByteBuffer data) {
    /// Takes a copy of the bytes.
    public UnknownExtension {
        data =
                ByteBuffer.allocate(data.remaining())
                        .put(data.duplicate())
                        .flip()
                        .asReadOnlyBuffer();
    }

    /// Its bytes, from position to limit.
    @Override
    public ByteBuffer data() {
        return data.duplicate();
    }
}
