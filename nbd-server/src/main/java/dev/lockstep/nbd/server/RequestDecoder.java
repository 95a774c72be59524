package dev.lockstep.nbd.server;

import dev.lockstep.nbd.ContextSelection.Selected;
import dev.lockstep.nbd.NbdProtocol;

import io.netty.buffer.ByteBuf;

import java.util.ArrayList;
import java.util.List;

/// Takes one request after the other from the bytes of a connection, and refuses those that break
/// the rules. Confined to the event loop.
final class RequestDecoder {
    /// What precedes the context ids in the payload of BLOCK_STATUS: the length of the range.
    private static final int FILTER_LENGTH_BYTES = 8;

    /// What became of a request.
    enum Outcome {
        /// It is in the header. The payload of a write is next in the bytes.
        TAKEN,
        /// More bytes are needed.
        LACKS_BYTES,
        /// It was answered with an error; the next one may follow.
        REFUSED,
        /// What follows makes no sense.
        GARBAGE
    }

    /// The request at hand. Who executes it says in it what remains.
    final RequestHeader header = new RequestHeader();

    /// What the BLOCK_STATUS at hand is about.
    List<Selected> contexts;

    private final RequestRules rules;
    private final Outbox outbox;
    private String garbage = "";

    /// The header is taken, its filter is not.
    private boolean awaitsFilter;

    /// Payload still to be thrown away, and then the refusal to be sent.
    private long skip;

    private int skipError;
    private String skipMessage = "";
    private long skipAt;

    RequestDecoder(RequestRules rules, Outbox outbox) {
        this.rules = rules;
        this.outbox = outbox;
        this.contexts = rules.contexts;
    }

    /// Says what is wrong, after [Outcome#GARBAGE].
    String garbage() {
        return garbage;
    }

    Outcome next(ByteBuf bytes) {
        if (skip > 0) {
            return skipPayload(bytes);
        }
        if (awaitsFilter) {
            return takeFilter(bytes);
        }
        if (bytes.readableBytes() < rules.headerBytes) {
            return Outcome.LACKS_BYTES;
        }
        header.take(bytes, rules.extended);
        contexts = rules.contexts;
        if (header.magic != rules.magic()) {
            garbage = "a request begins with 0x%08x".formatted(header.magic);
            return Outcome.GARBAGE;
        }
        long payload = rules.payloadBytes(header);
        if (Long.compareUnsigned(payload, NbdProtocol.PAYLOAD_BYTES_MAX) > 0) {
            garbage =
                    "a payload of %s bytes, the limit is %d"
                            .formatted(
                                    Long.toUnsignedString(payload), NbdProtocol.PAYLOAD_BYTES_MAX);
            return Outcome.GARBAGE;
        }
        int error = rules.refusal(header);
        if (error != 0) {
            return refuse(bytes, payload, error, rules.explain(header, error), Replies.NOWHERE);
        }
        return rules.hasFilter(header) ? takeFilter(bytes) : Outcome.TAKEN;
    }

    /// Answers with an error, once what is left of the payload has been thrown away.
    ///
    /// @param at where it failed, or [Replies#NOWHERE]
    Outcome refuse(ByteBuf bytes, long payloadLeft, int error, String message, long at) {
        skip = payloadLeft;
        skipError = error;
        skipMessage = message;
        skipAt = at;
        return skipPayload(bytes);
    }

    private Outcome skipPayload(ByteBuf bytes) {
        int now = (int) Math.min(skip, bytes.readableBytes());
        bytes.skipBytes(now);
        skip -= now;
        if (skip > 0) {
            return Outcome.LACKS_BYTES;
        }
        outbox.error(header.cookie, header.origin, skipError, skipMessage, skipAt);
        return Outcome.REFUSED;
    }

    /// Takes the payload of a BLOCK_STATUS: the length of its range and ids of contexts, each of
    /// which was agreed on and is named once.
    private Outcome takeFilter(ByteBuf bytes) {
        long payload = header.length;
        long ids = (payload - FILTER_LENGTH_BYTES) / Integer.BYTES;
        if (payload != FILTER_LENGTH_BYTES + ids * Integer.BYTES
                || ids < 1
                || ids > rules.contexts.size()) {
            return refuseFilter(bytes, payload);
        }
        awaitsFilter = bytes.readableBytes() < payload;
        if (awaitsFilter) {
            return Outcome.LACKS_BYTES;
        }
        header.length = bytes.readLong();
        List<Selected> chosen = new ArrayList<>();
        for (long i = 0; i < ids; i++) {
            int id = bytes.readInt();
            rules.contexts.stream()
                    .filter(each -> each.id() == id && !chosen.contains(each))
                    .forEach(chosen::add);
        }
        if (chosen.size() < ids) {
            return refuseFilter(bytes, 0);
        }
        int error = rules.rangeRefusal(header);
        if (error != 0) {
            return refuse(bytes, 0, error, rules.explain(header, error), Replies.NOWHERE);
        }
        contexts = chosen;
        return Outcome.TAKEN;
    }

    private Outcome refuseFilter(ByteBuf bytes, long payloadLeft) {
        return refuse(
                bytes,
                payloadLeft,
                NbdProtocol.EINVAL,
                "a filter of BLOCK_STATUS names contexts that were agreed on, each once",
                Replies.NOWHERE);
    }
}
