package dev.lockstep.nbd.tls;

import java.nio.ByteBuffer;

/// The outside of a record of TLS (RFC 8446, 5.1 and 5.2), and what the two engines that take one
/// record a call have in common.
final class TlsRecord {
    /// The type, the version and the length.
    static final int HEADER_BYTES = 5;

    /// What a record holds.
    static final int PLAINTEXT_BYTES_MAX = 1 << 14;

    /// More than this, with the nonce that TLS 1.2 adds, is no record.
    static final int BYTES_MAX = HEADER_BYTES + PLAINTEXT_BYTES_MAX + 256;

    private static final int TYPE_MIN = 20;
    private static final int TYPE_MAX = 24;

    /// Of a message of the handshake, unless that is encrypted as TLS 1.3 has it.
    private static final int TYPE_HANDSHAKE = 22;

    private TlsRecord() {}

    /// Whether the record at hand belongs to a handshake.
    static boolean isHandshake(ByteBuffer src) {
        return src.hasRemaining() && src.get(src.position()) == TYPE_HANDSHAKE;
    }

    /// The length of the record at hand; [#HEADER_BYTES] as long as it cannot be told, and 0 if
    /// that is no record.
    static int bytes(ByteBuffer src) {
        if (src.remaining() < HEADER_BYTES) {
            return HEADER_BYTES;
        }
        int at = src.position();
        int type = src.get(at);
        int bytes = HEADER_BYTES + (src.getShort(at + 3) & 0xffff);
        boolean valid =
                type >= TYPE_MIN && type <= TYPE_MAX && src.get(at + 1) == 3 && bytes <= BYTES_MAX;
        return valid ? bytes : 0;
    }

    /// What fits into some buffers, or what there is in them.
    static long remaining(ByteBuffer[] buffers, int offset, int length) {
        long remaining = 0;
        for (int i = offset; i < offset + length; i++) {
            remaining += buffers[i].remaining();
        }
        return remaining;
    }
}
