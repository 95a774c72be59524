package dev.lockstep.nbd;

/// How requests and replies are framed once the handshake is over. Both sides keep to one style for
/// the life of a connection.
public enum HeaderStyle {
    /// Requests of 28 bytes; a reply is one header and at most the bytes read. Errors are numbers.
    SIMPLE,
    /// The same requests; a reply may come in chunks, with holes, extents and errors in words.
    STRUCTURED,
    /// Headers of 32 bytes both ways, with lengths of 64 bits; every reply is in chunks.
    EXTENDED;

    /// Whether replies come in chunks.
    public boolean chunks() {
        return this != SIMPLE;
    }
}
