package dev.lockstep.nbd;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/// Something of today's protocol that a server leaves out on purpose, as an older or a simpler one
/// would, so that people who write clients can test the paths that few servers make them take.
///
/// All of them are within the protocol: what is left out is not offered, and the options and
/// commands that need it are refused as unknown.
public enum Degradation {
    /// The greeting offers no fixed newstyle: a client can only name an export, and hope.
    NO_FIXED_NEWSTYLE(0),

    /// The padding after the answer to EXPORT_NAME is always sent.
    NO_NO_ZEROES(0),

    /// STARTTLS is unknown.
    NO_TLS(0, NbdProtocol.OPT_STARTTLS),

    /// LIST is unknown.
    NO_LIST(0, NbdProtocol.OPT_LIST),

    /// INFO and GO are unknown: EXPORT_NAME is the only way in.
    NO_GO(0, NbdProtocol.OPT_INFO, NbdProtocol.OPT_GO),

    /// INFO and GO do not tell block sizes.
    NO_BLOCK_SIZE(0),

    /// Replies are simple ones, and what builds on the others is unknown.
    NO_STRUCTURED(
            0,
            NbdProtocol.OPT_STRUCTURED_REPLY,
            NbdProtocol.OPT_EXTENDED_HEADERS,
            NbdProtocol.OPT_LIST_META_CONTEXT,
            NbdProtocol.OPT_SET_META_CONTEXT),

    /// Lengths have 32 bits.
    NO_EXTENDED(0, NbdProtocol.OPT_EXTENDED_HEADERS),

    /// There are no metadata contexts, hence no BLOCK_STATUS.
    NO_CONTEXTS(0, NbdProtocol.OPT_LIST_META_CONTEXT, NbdProtocol.OPT_SET_META_CONTEXT),

    /// FLUSH is unknown.
    NO_FLUSH(NbdProtocol.FLAG_SEND_FLUSH),

    /// The flag FUA is unknown.
    NO_FUA(NbdProtocol.FLAG_SEND_FUA),

    /// TRIM is unknown.
    NO_TRIM(NbdProtocol.FLAG_SEND_TRIM),

    /// WRITE_ZEROES is unknown.
    NO_ZEROES(NbdProtocol.FLAG_SEND_WRITE_ZEROES | NbdProtocol.FLAG_SEND_FAST_ZERO),

    /// The flag FAST_ZERO is unknown.
    NO_FAST_ZERO(NbdProtocol.FLAG_SEND_FAST_ZERO),

    /// The flag DF is unknown.
    NO_DF(NbdProtocol.FLAG_SEND_DF),

    /// CACHE is unknown.
    NO_CACHE(NbdProtocol.FLAG_SEND_CACHE),

    /// RESIZE is unknown.
    NO_RESIZE(NbdProtocol.FLAG_SEND_RESIZE),

    /// Nothing is promised about a second connection.
    NO_MULTI_CONN(NbdProtocol.FLAG_CAN_MULTI_CONN);

    /// The transmission flags that it takes away.
    private final int transmissionFlags;

    /// The options that it makes unknown, a bit each.
    private final long options;

    Degradation(int transmissionFlags, int... options) {
        this.transmissionFlags = transmissionFlags;
        this.options = Arrays.stream(options).mapToLong(option -> 1L << option).sum();
    }

    /// What the greeting still offers.
    static int handshakeFlags(Set<Degradation> these, int flags) {
        int left = flags;
        if (these.contains(NO_FIXED_NEWSTYLE)) {
            left &= ~NbdProtocol.FLAG_FIXED_NEWSTYLE;
        }
        if (these.contains(NO_NO_ZEROES)) {
            left &= ~NbdProtocol.FLAG_NO_ZEROES;
        }
        return left;
    }

    /// Returns what a degraded server takes the option for.
    static Option understood(Set<Degradation> these, Option option) {
        for (Degradation each : these) {
            if (each.hides(option.code())) {
                return new Option.Unknown(option.code());
            }
        }
        if (!these.contains(NO_BLOCK_SIZE)) {
            return option;
        }
        return switch (option) {
            case Option.Go(String name, List<Integer> items) ->
                    new Option.Go(name, withoutBlockSize(items));
            case Option.ExportInfo(String name, List<Integer> items) ->
                    new Option.ExportInfo(name, withoutBlockSize(items));
            default -> option;
        };
    }

    /// What a client is still told it may do.
    static int transmissionFlags(Set<Degradation> these, int flags) {
        int left = flags;
        for (Degradation each : these) {
            left &= ~each.transmissionFlags;
        }
        return left;
    }

    private boolean hides(int option) {
        return option >= 0 && option < Long.SIZE && (options & 1L << option) != 0;
    }

    private static List<Integer> withoutBlockSize(List<Integer> items) {
        return items.stream().filter(item -> item != NbdProtocol.INFO_BLOCK_SIZE).toList();
    }

    /// Reads the form of [#toString].
    ///
    /// @throws IllegalArgumentException if it is none, with a sentence that lists them
    public static Degradation parse(String text) {
        for (Degradation each : values()) {
            if (each.toString().equals(text)) {
                return each;
            }
        }
        throw new IllegalArgumentException(
                "'%s' is no degradation: there are %s"
                        .formatted(
                                text,
                                String.join(
                                        ", ",
                                        List.of(values()).stream()
                                                .map(Degradation::toString)
                                                .toList())));
    }

    /// Returns its name as the command line has it: `no-structured`.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
