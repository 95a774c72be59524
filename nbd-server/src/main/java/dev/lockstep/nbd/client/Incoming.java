package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
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

    private static final int STATUS_BYTES_MAX = 4 + 8 * NbdProtocol.EXTENTS_MAX;

    /// As many extents as are kept from one reply: 64 Ki of them take 2.5 MiB.
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
            case NbdProtocol.SIMPLE_REPLY_MAGIC -> simple();
            case NbdProtocol.STRUCTURED_REPLY_MAGIC -> chunk();
            default -> throw new ProtocolException("a reply begins with 0x%08x".formatted(magic));
        }
    }

    private void simple() throws IOException {
        ByteBuffer header = input.need(NbdProtocol.SIMPLE_REPLY_BYTES - 4);
        int errno = header.getInt();
        Request request = find(header.getLong());
        if (errno != 0) {
            request.fail(NbdErrors.kind(errno), serverSays(errno, null), null);
            return;
        }
        if (request.command == NbdProtocol.CMD_READ) {
            if (export.structured()) {
                throw new ProtocolException("a read was answered by a simple reply");
            }
            fillTarget(request, 0, request.length);
        } else if (request.command == NbdProtocol.CMD_BLOCK_STATUS) {
            throw new ProtocolException("BLOCK_STATUS was answered by a simple reply");
        }
        request.succeed();
    }

    private void chunk() throws IOException {
        if (!export.structured()) {
            throw new ProtocolException("a structured reply, which was not agreed on");
        }
        ByteBuffer header = input.need(NbdProtocol.STRUCTURED_REPLY_BYTES - 4);
        int flags = header.getShort() & 0xffff;
        int type = header.getShort() & 0xffff;
        Request request = find(header.getLong());
        long length = Integer.toUnsignedLong(header.getInt());
        boolean done = (flags & NbdProtocol.REPLY_FLAG_DONE) != 0;
        if ((type & NbdProtocol.REPLY_TYPE_FLAG_ERROR) != 0) {
            error(request, type, length);
        } else {
            switch (type) {
                case NbdProtocol.REPLY_TYPE_NONE -> none(length, done);
                case NbdProtocol.REPLY_TYPE_OFFSET_DATA -> data(request, length);
                case NbdProtocol.REPLY_TYPE_OFFSET_HOLE -> hole(request, length);
                case NbdProtocol.REPLY_TYPE_BLOCK_STATUS -> status(request, length);
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
            coverage = new Coverage(request.length);
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

    private void status(Request request, long length) throws IOException {
        Integer context = export.allocationContext();
        if (request.command != NbdProtocol.CMD_BLOCK_STATUS || context == null) {
            throw new ProtocolException("extents in the reply to a %s".formatted(request));
        }
        if (length < 4 + 8 || length > STATUS_BYTES_MAX || length % 8 != 4) {
            throw new ProtocolException("a chunk of extents of %d bytes".formatted(length));
        }
        int answered = input.need(4).getInt();
        if (answered != context || !request.extents.isEmpty()) {
            throw new ProtocolException("extents of a context that was not asked for, or twice");
        }
        request.extents = readExtents(request, (int) (length / 8));
    }

    private List<Extent> readExtents(Request request, int count) throws IOException {
        List<Extent> extents = new ArrayList<>();
        long at = request.offset;
        long end = request.offset + Integer.toUnsignedLong(request.length);
        for (int i = 0; i < count; i++) {
            ByteBuffer descriptor = input.need(8);
            long bytes = Integer.toUnsignedLong(descriptor.getInt());
            Extent.Kind kind = kind(descriptor.getInt());
            if (bytes == 0) {
                throw new ProtocolException("an extent without length");
            }
            bytes = Math.min(bytes, end - at);
            if (bytes <= 0 || extents.size() == EXTENTS_KEPT_MAX) {
                continue;
            }
            Extent last = extents.isEmpty() ? null : extents.getLast();
            if (last != null && last.kind() == kind) {
                extents.removeLast();
                extents.add(Extent.of(last.offset(), last.length() + bytes, kind));
            } else {
                extents.add(Extent.of(at, bytes, kind));
            }
            at += bytes;
        }
        return extents;
    }

    /// Only what reads as zeroes is a hole: of one that does not, the contents are not known.
    private static Extent.Kind kind(int state) {
        if ((state & NbdProtocol.STATE_ZERO) == 0) {
            return Extent.Kind.DATA;
        }
        return (state & NbdProtocol.STATE_HOLE) != 0 ? Extent.Kind.HOLE : Extent.Kind.ZERO;
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

    private static void finish(Request request) throws ProtocolException {
        if (request.errno != 0) {
            Kind kind = NbdErrors.kind(request.errno);
            request.fail(kind, serverSays(request.errno, request.errorMessage), null);
            return;
        }
        if (request.command == NbdProtocol.CMD_READ
                && (request.coverage == null || !request.coverage.isComplete())) {
            throw new ProtocolException("a %s was answered in part".formatted(request));
        }
        if (request.command == NbdProtocol.CMD_BLOCK_STATUS && request.extents.isEmpty()) {
            throw new ProtocolException("BLOCK_STATUS was answered without extents");
        }
        request.succeed();
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
