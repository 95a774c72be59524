package dev.lockstep.nbd;

/// What a server can answer to an [Option].
public sealed interface OptionReply {
    /// Whether nothing follows for the same option.
    default boolean isLast() {
        return this instanceof Ack || this instanceof Refusal;
    }

    /// Accepted, or the end of a list.
    record Ack() implements OptionReply {}

    /// One export of a listing.
    record Server(String name, String description) implements OptionReply {}

    /// Size and transmission flags of the export asked for.
    record InfoExport(long size, int transmissionFlags) implements OptionReply {}

    /// Its canonical name.
    record InfoName(String name) implements OptionReply {}

    /// Words about it.
    record InfoDescription(String description) implements OptionReply {}

    /// The sizes of its requests in bytes.
    ///
    /// @param minimum every offset and length is a multiple of it
    /// @param preferred multiples of it are cheapest
    /// @param maximum the largest payload
    record InfoBlockSize(int minimum, int preferred, long maximum) implements OptionReply {}

    /// A metadata context.
    ///
    /// @param id what BLOCK_STATUS calls it; 0 in a listing
    record MetaContext(int id, String name) implements OptionReply {}

    /// No.
    ///
    /// @param type one of `REP_ERR_*`
    /// @param message for the client's user; may be empty
    record Refusal(int type, String message) implements OptionReply {}

    /// A reply, or an item of information, that this implementation does not know.
    record Unknown(int type) implements OptionReply {}
}
