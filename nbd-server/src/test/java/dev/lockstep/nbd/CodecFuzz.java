package dev.lockstep.nbd;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Negotiation.Asked;
import dev.lockstep.nbd.Negotiation.ClientFlags;
import dev.lockstep.nbd.Negotiation.State;
import dev.lockstep.nbd.Negotiation.Step;
import dev.lockstep.nbd.Negotiation.Tls;
import dev.lockstep.nbd.Negotiation.TlsBegun;
import dev.lockstep.nbd.Negotiation.ToOption;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;

/// Options and the replies to them: any bytes are decoded or refused, what was decoded is encoded
/// to the same bytes, and no series of options leads the negotiation astray.
final class CodecFuzz {
    private static final Export DISK = new Export("d", new MemoryDevice(1 << 20));
    private static final Export SECRET =
            new Export("s", Gate.readOnly(new MemoryDevice(1 << 20))).withTlsOnly();

    private CodecFuzz() {}

    /// What Jazzer calls.
    public static void fuzzerTestOneInput(FuzzedDataProvider data) {
        Negotiation negotiation =
                new Negotiation(
                        Exports.of(DISK, SECRET),
                        true,
                        data.consumeBoolean()
                                ? Set.of(data.pickValue(Degradation.values()))
                                : Set.of(),
                        data.pickValue(Tls.values()));
        State state =
                negotiation.step(negotiation.start(), new ClientFlags(data.consumeByte())).next();
        while (data.remainingBytes() > 0) {
            int code = data.consumeInt(0, 13);
            byte[] bytes = data.consumeBytes(data.consumeInt(0, 200));
            Option option = OptionCodec.decode(code, ByteBuffer.wrap(bytes));
            checkEncoding(option);
            Step step =
                    state instanceof Negotiation.StartingTls
                            ? negotiation.step(state, new TlsBegun())
                            : negotiation.step(state, new Asked(option));
            state = step.next();
            step.replies().forEach(CodecFuzz::checkReply);
            decodeReply(data.consumeInt(), bytes);
        }
    }

    private static void checkEncoding(Option option) {
        if (option instanceof Option.Malformed || option instanceof Option.Unknown) {
            return;
        }
        ByteBuffer encoded = OptionCodec.encode(option).position(NbdProtocol.OPTION_HEADER_BYTES);
        Option again = OptionCodec.decode(option.code(), encoded.slice());
        if (!again.equals(option)) {
            throw new AssertionError(option + " was read back as " + again);
        }
    }

    private static void checkReply(Negotiation.Reply reply) {
        if (!(reply instanceof ToOption(int code, OptionReply body))) {
            return;
        }
        try {
            ByteBuffer encoded = OptionReplyCodec.encode(code, body);
            int type = encoded.getInt(12);
            OptionReply again =
                    OptionReplyCodec.decode(
                            type, encoded.position(NbdProtocol.OPTION_REPLY_HEADER_BYTES).slice());
            if (!again.equals(body)) {
                throw new AssertionError(body + " was read back as " + again);
            }
        } catch (IOException e) {
            throw new AssertionError(body + " was not read back", e);
        }
    }

    private static void decodeReply(int type, byte[] bytes) {
        try {
            OptionReplyCodec.decode(
                    type & (NbdProtocol.REP_FLAG_ERROR | 15), ByteBuffer.wrap(bytes));
        } catch (IOException _) {
            // refused, as it may be
        }
    }
}
