package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.nbd.ContextSelection.Selected;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.MetaContext.Status;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;

import java.util.List;

/// The reply to one BLOCK_STATUS: a chunk for each context. Neighbours that look alike to the
/// client are one extent, and extents are whole blocks of the advertised minimum.
final class StatusReply {
    /// What all chunks of a reply hold together, far below what the protocol allows: 32768 extents
    /// are 512 KiB, and the client asks again from where they end.
    private static final int EXTENTS_MAX = 32 << 10;

    /// A question to a context may be answered in part. So many are put for one chunk: a client
    /// that wants more asks again, and others get their turn.
    private static final int QUESTIONS_MAX = 64;

    private static final int EXTENDED_EXTENT_BYTES = 8 + 8;

    private final Replies replies;
    private final Request request;
    private final int blockBytes;
    private final ByteBuf out = Unpooled.buffer();
    private int limit;

    /// Extents that were put in the chunk at hand.
    private int count;

    /// The extent that the next may still be joined to; none if its length is 0.
    private long lastLength;

    private long lastFlags;

    /// The beginning of a block that is not whole yet; none if its length is 0.
    private int partBytes;

    private long partFlags;

    /// @param blockBytes the minimum block size, of which offset and length are multiples
    StatusReply(Replies replies, Request request, int blockBytes) {
        this.replies = replies;
        this.request = request;
        this.blockBytes = blockBytes;
    }

    /// The most that the extents of a reply take.
    static int bytesMax(boolean oneExtent) {
        return oneExtent ? 0 : EXTENTS_MAX * EXTENDED_EXTENT_BYTES;
    }

    /// Makes the whole reply.
    ByteBuf make(List<Selected> contexts, boolean oneExtent) throws BlockException {
        limit = oneExtent ? 1 : EXTENTS_MAX / contexts.size();
        int left = contexts.size();
        for (Selected each : contexts) {
            left--;
            put(each, left == 0 ? NbdProtocol.REPLY_FLAG_DONE : 0);
        }
        return out;
    }

    /// Puts a chunk. Its header comes last, since it tells the length.
    private void put(Selected selected, int flags) throws BlockException {
        count = 0;
        lastLength = 0;
        partBytes = 0;
        int start = out.writerIndex();
        out.writeZero(replies.chunkBytes + (replies.extended ? 2 : 1) * Integer.BYTES);
        ask(selected.context());
        int end = out.writerIndex();
        out.writerIndex(start);
        int type =
                replies.extended
                        ? NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT
                        : NbdProtocol.REPLY_TYPE_BLOCK_STATUS;
        int length = end - start - replies.chunkBytes;
        replies.chunk(out, flags, type, request.cookie, request.origin, length);
        out.writeInt(selected.id());
        if (replies.extended) {
            out.writeInt(count);
        }
        out.writerIndex(end);
    }

    private void ask(MetaContext context) throws BlockException {
        long told = 0;
        int questions = 0;
        while (told < request.length && count < limit) {
            boolean hasSome = count > 0 || lastLength > 0;
            if (++questions > QUESTIONS_MAX && hasSome) {
                break;
            }
            request.requireOpen();
            long left = request.length - told;
            for (Status status : context.statuses(request.offset + told, left)) {
                long length = Math.min(status.length(), request.length - told);
                add(context, length, status.flags());
                told += length;
            }
        }
        putLast();
    }

    /// Adds whole blocks as they are, and joins the parts of a block whose bytes are not alike.
    private void add(MetaContext context, long length, long flags) {
        long left = length;
        if (partBytes > 0) {
            int more = (int) Math.min(left, blockBytes - partBytes);
            partFlags = context.mixed(partFlags, flags);
            partBytes += more;
            left -= more;
            if (partBytes < blockBytes) {
                return;
            }
            join(blockBytes, partFlags);
        }
        long whole = left & -blockBytes;
        join(whole, flags);
        partBytes = (int) (left - whole);
        partFlags = flags;
    }

    private void join(long length, long flags) {
        if (length == 0) {
            return;
        }
        if (lastFlags != flags) {
            putLast();
        }
        lastLength += length;
        lastFlags = flags;
    }

    private void putLast() {
        if (lastLength == 0 || count == limit) {
            return;
        }
        if (replies.extended) {
            out.writeLong(lastLength);
            out.writeLong(lastFlags);
        } else {
            out.writeInt((int) lastLength);
            out.writeInt((int) lastFlags);
        }
        count++;
        lastLength = 0;
    }
}
