package dev.lockstep.nbd.client;

import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// Reads replies until the connection ends. Nothing the server says is believed before it was
/// compared with the request.
final class Incoming {
    /// An error chunk: number, length of the message, message, and the offset if it has one.
    private static final int ERROR_BYTES_MAX = 4 + 2 + NbdProtocol.STRING_BYTES_MAX + 8;

    /// As many extents as are kept of one context from one reply: 64 Ki of them take 2.5 MiB.
    private static final int EXTENTS_KEPT_MAX = 64 << 10;

    private final InFlight inFlight;
    private final Input input;
    private final RemoteExport export;

    Incoming(InFlight inFlight, Input input, RemoteExport export) {
        this.inFlight = inFlight;
        this.input = input;
        this.export = export;
    }

    /// Handles one reply or one chunk of it.
    void readReply() throws IOException {
        int magic = input.need(NbdProtocol.SIMPLE_REPLY_BYTES).getInt();
        switch (magic) {
            case NbdProtocol.SIMPLE_REPLY_MAGIC -> {
                checkStyle("a simple", export.headers() != HeaderStyle.EXTENDED);
                simple();
            }
            case NbdProtocol.STRUCTURED_REPLY_MAGIC -> {
                checkStyle("a structured", export.headers() == HeaderStyle.STRUCTURED);
                chunk(false);
            }
            case NbdProtocol.EXTENDED_REPLY_MAGIC -> {
                checkStyle("an extended", export.headers() == HeaderStyle.EXTENDED);
                chunk(true);
            }
            default -> throw new ProtocolException("a reply begins with 0x%08x".formatted(magic));
        }
    }

    private static void checkStyle(String style, boolean agreed) throws ProtocolException {
        if (!agreed) {
            throw new ProtocolException("%s reply, which was not agreed on".formatted(style));
        }
    }

    private void simple() throws IOException {
        ByteBuffer header = input.need(NbdProtocol.SIMPLE_REPLY_BYTES - 4);
        int errno = header.getInt();
        Request request = find(header.getLong());
        if (errno != 0) {
            refuse(request, errno, null);
            return;
        }
        if (request.command == NbdProtocol.CMD_READ) {
            if (export.headers() != HeaderStyle.SIMPLE) {
                throw new ProtocolException("a read was answered by a simple reply");
            }
            fillTarget(request, 0, (int) request.length);
        } else if (request.command == NbdProtocol.CMD_BLOCK_STATUS) {
            throw new ProtocolException("BLOCK_STATUS was answered by a simple reply");
        }
        request.succeed();
    }

    private void chunk(boolean extended) throws IOException {
        int bytes =
                extended ? NbdProtocol.EXTENDED_REPLY_BYTES : NbdProtocol.STRUCTURED_REPLY_BYTES;
        ByteBuffer header = input.need(bytes - 4);
        int flags = header.getShort() & 0xffff;
        int type = header.getShort() & 0xffff;
        Request request = find(header.getLong());
        if (extended && header.getLong() != request.offset) {
            throw new ProtocolException(
                    "the reply to a %s names another offset".formatted(request));
        }
        long length = extended ? header.getLong() : Integer.toUnsignedLong(header.getInt());
        boolean done = (flags & NbdProtocol.REPLY_FLAG_DONE) != 0;
        if ((type & NbdProtocol.REPLY_TYPE_FLAG_ERROR) != 0) {
            error(request, type, length);
        } else {
            switch (type) {
                case NbdProtocol.REPLY_TYPE_NONE -> none(length, done);
                case NbdProtocol.REPLY_TYPE_OFFSET_DATA -> data(request, length);
                case NbdProtocol.REPLY_TYPE_OFFSET_HOLE -> hole(request, length);
                case NbdProtocol.REPLY_TYPE_BLOCK_STATUS -> status(request, length, false);
                case NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT -> status(request, length, true);
                default -> throw new ProtocolException("a chunk of unknown type " + type);
            }
        }
        if (done) {
            finish(request);
        }
    }

    private Request find(long cookie) throws ProtocolException {
        Request request = inFlight.find(cookie);
        if (request == null || !request.wasSent()) {
            throw new ProtocolException(
                    "a reply to the cookie 0x%x, which is not in flight".formatted(cookie));
        }
        return request;
    }

    private static void none(long length, boolean done) throws ProtocolException {
        if (length != 0 || !done) {
            throw new ProtocolException("a chunk of type NONE that is not empty or not the last");
        }
    }

    private void data(Request request, long length) throws IOException {
        if (length <= NbdProtocol.OFFSET_DATA_BYTES) {
            throw new ProtocolException("a data chunk of %d bytes".formatted(length));
        }
        long offset = input.need(NbdProtocol.OFFSET_DATA_BYTES).getLong();
        long bytes = length - NbdProtocol.OFFSET_DATA_BYTES;
        int start = cover(request, offset, bytes);
        fillTarget(request, start, (int) bytes);
    }

    private void hole(Request request, long length) throws IOException {
        if (length != NbdProtocol.OFFSET_HOLE_BYTES) {
            throw new ProtocolException("a hole chunk of %d bytes".formatted(length));
        }
        ByteBuffer body = input.need(NbdProtocol.OFFSET_HOLE_BYTES);
        long offset = body.getLong();
        long bytes = Integer.toUnsignedLong(body.getInt());
        int start = cover(request, offset, bytes);
        ByteBuffer target = hold(request, start, (int) bytes);
        try {
            while (target.remaining() >= Long.BYTES) {
                target.putLong(0);
            }
            while (target.hasRemaining()) {
                target.put((byte) 0);
            }
        } finally {
            request.release(Request.HELD_BY_READER);
        }
    }

    /// Notes that a chunk has arrived and returns where in the target it begins.
    private static int cover(Request request, long offset, long bytes) throws ProtocolException {
        if (request.command != NbdProtocol.CMD_READ) {
            throw new ProtocolException("data in the reply to a %s".formatted(request));
        }
        Coverage coverage = request.coverage;
        if (coverage == null) {
            coverage = new Coverage((int) request.length);
            request.coverage = coverage;
        }
        coverage.add(offset - request.offset, bytes);
        return (int) (offset - request.offset);
    }

    private void fillTarget(Request request, int start, int bytes) throws IOException {
        ByteBuffer target = hold(request, start, bytes);
        try {
            input.readInto(target);
        } finally {
            request.release(Request.HELD_BY_READER);
        }
    }

    private static ByteBuffer hold(Request request, int start, int bytes) throws IOException {
        ByteBuffer payload = request.payload;
        if (payload == null || !request.holdForReader()) {
            throw new IOException("the request was given up");
        }
        return payload.slice(payload.position() + start, bytes);
    }

    private void status(Request request, long length, boolean wide) throws IOException {
        if (request.command != NbdProtocol.CMD_BLOCK_STATUS) {
            throw new ProtocolException("extents in the reply to a %s".formatted(request));
        }
        checkStyle(
                wide ? "a wide status" : "a narrow status",
                wide == (export.headers() == HeaderStyle.EXTENDED));
        int head = wide ? 4 + 4 : 4;
        int each = wide ? 8 + 8 : 4 + 4;
        long count = (length - head) / each;
        if (length < head + each
                || (length - head) % each != 0
                || count > NbdProtocol.EXTENTS_MAX) {
            throw new ProtocolException("a chunk of extents of %d bytes".formatted(length));
        }
        ByteBuffer body = input.need(head);
        int context = body.getInt();
        if (wide && Integer.toUnsignedLong(body.getInt()) != count) {
            throw new ProtocolException("a chunk of extents that counts them wrongly");
        }
        List<StatusExtent> extents = readExtents(request, (int) count, wide);
        if (!export.hasContext(context) || request.statuses.put(context, extents) != null) {
            throw new ProtocolException("extents of a context that was not asked for, or twice");
        }
    }

    /// Extents are clipped to the request and equal neighbours joined.
    private List<StatusExtent> readExtents(Request request, int count, boolean wide)
            throws IOException {
        List<StatusExtent> extents = new ArrayList<>();
        long at = request.offset;
        long end = request.offset + request.length;
        for (int i = 0; i < count; i++) {
            ByteBuffer descriptor = input.need(wide ? 8 + 8 : 4 + 4);
            long bytes = wide ? descriptor.getLong() : Integer.toUnsignedLong(descriptor.getInt());
            long flags = wide ? descriptor.getLong() : Integer.toUnsignedLong(descriptor.getInt());
            if (bytes <= 0) {
                throw new ProtocolException("an extent without length, or one beyond 2^63");
            }
            bytes = Math.min(bytes, end - at);
            if (bytes <= 0 || extents.size() == EXTENTS_KEPT_MAX) {
                continue;
            }
            StatusExtent last = extents.isEmpty() ? null : extents.getLast();
            if (last != null && last.flags() == flags) {
                extents.removeLast();
                extents.add(new StatusExtent(last.offset(), last.length() + bytes, flags));
            } else {
                extents.add(new StatusExtent(at, bytes, flags));
            }
            at += bytes;
        }
        return extents;
    }

    private void error(Request request, int type, long length) throws IOException {
        if (length < 4 + 2 || length > ERROR_BYTES_MAX) {
            throw new ProtocolException("an error chunk of %d bytes".formatted(length));
        }
        ByteBuffer body = input.need((int) length);
        int end = body.position() + (int) length;
        int errno = body.getInt();
        int messageBytes = body.getShort() & 0xffff;
        if (messageBytes > end - body.position() || errno == 0) {
            throw new ProtocolException("a malformed error chunk of type 0x%x".formatted(type));
        }
        byte[] message = new byte[messageBytes];
        body.get(message).position(end);
        if (request.errno == 0) {
            request.errno = errno;
            request.errorMessage = printable(new String(message, StandardCharsets.UTF_8));
        }
    }

    private static void finish(Request request) throws IOException {
        if (request.errno != 0) {
            refuse(request, request.errno, request.errorMessage);
            return;
        }
        if (request.command == NbdProtocol.CMD_READ
                && (request.coverage == null || !request.coverage.isComplete())) {
            throw new ProtocolException("a %s was answered in part".formatted(request));
        }
        if (request.command == NbdProtocol.CMD_BLOCK_STATUS
                && request.statuses.size() < request.contextsAsked) {
            throw new ProtocolException("BLOCK_STATUS was answered without extents");
        }
        request.succeed();
    }

    /// @throws ServerShutdown if the error says so, which ends the connection and with it the
    ///     request
    private static void refuse(Request request, int errno, @Nullable String message)
            throws ServerShutdown {
        if (errno == NbdProtocol.ESHUTDOWN) {
            throw new ServerShutdown();
        }
        request.fail(NbdErrors.kind(errno), serverSays(errno, message), null);
    }

    private static String serverSays(int errno, @Nullable String message) {
        String name = NbdErrors.name(errno);
        return message == null || message.isEmpty()
                ? "the server says " + name
                : "the server says %s (%s)".formatted(name, message);
    }

    /// A server's words without what could disturb a terminal or a log.
    static String printable(String words) {
        return words.replaceAll("\\p{Cntrl}+", " ").strip();
    }
}
