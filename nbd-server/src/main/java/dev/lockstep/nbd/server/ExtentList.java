package dev.lockstep.nbd.server;

import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;

import java.util.Arrays;

/// The extents of one BLOCK_STATUS chunk, as one context shows them. Neighbours that look alike to
/// the client are one extent.
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
    void add(MetaContext.Status extent) {
        long length = Math.min(extent.length(), lengthAsked - covered);
        if (full || length == 0) {
            return;
        }
        int state = (int) extent.flags();
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

    /// Puts the whole chunk.
    void put(ByteBuf reply, int flags, long cookie, int contextId) {
        int bytes = 4 + count * EXTENT_BYTES;
        Replies.chunk(reply, flags, NbdProtocol.REPLY_TYPE_BLOCK_STATUS, cookie, bytes);
        reply.writeInt(contextId);
        for (int i = 0; i < count; i++) {
            reply.writeInt((int) lengths[i]);
            reply.writeInt(states[i]);
        }
    }
}
