package dev.lockstep.nbd.server;

import dev.lockstep.block.Extent;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;

import java.util.Arrays;

/// The extents of one BLOCK_STATUS reply, as `base:allocation` shows them. Neighbours that look
/// alike to the client are one extent.
final class ExtentList {
    private static final int EXTENT_BYTES = 4 + 4;

    private final int limit;
    private final long lengthAsked;
    private long[] lengths = new long[8];
    private int[] states = new int[8];
    private long covered;
    private int count;
    private boolean full;

    /// @param limit the most extents
    /// @param lengthAsked the most bytes, at most 4 GiB less one as the request's field is
    ExtentList(int limit, long lengthAsked) {
        this.limit = limit;
        this.lengthAsked = lengthAsked;
    }

    /// Adds the next extent, unless the list is full.
    void add(Extent extent) {
        long length = Math.min(extent.length(), lengthAsked - covered);
        if (full || length == 0) {
            return;
        }
        int state = state(extent.kind());
        if (count > 0 && states[count - 1] == state) {
            lengths[count - 1] += length;
        } else if (count == limit) {
            full = true;
            return;
        } else {
            if (count == states.length) {
                lengths = Arrays.copyOf(lengths, count * 2);
                states = Arrays.copyOf(states, count * 2);
            }
            lengths[count] = length;
            states[count++] = state;
        }
        covered += length;
    }

    /// The whole reply.
    ByteBuf reply(long cookie, int contextId) {
        int bytes = 4 + count * EXTENT_BYTES;
        ByteBuf reply = Unpooled.buffer(NbdProtocol.STRUCTURED_REPLY_BYTES + bytes);
        Replies.chunk(
                reply,
                NbdProtocol.REPLY_FLAG_DONE,
                NbdProtocol.REPLY_TYPE_BLOCK_STATUS,
                cookie,
                bytes);
        reply.writeInt(contextId);
        for (int i = 0; i < count; i++) {
            reply.writeInt((int) lengths[i]);
            reply.writeInt(states[i]);
        }
        return reply;
    }

    private static int state(Extent.Kind kind) {
        return switch (kind) {
            case DATA -> 0;
            case ZERO -> NbdProtocol.STATE_ZERO;
            case HOLE -> NbdProtocol.STATE_HOLE | NbdProtocol.STATE_ZERO;
        };
    }
}
