package dev.lockstep.nbd.client;

/// How requests and replies look on the wire, from the oldest to the newest.
public enum HeaderStyle {
    /// Compact requests; a reply is an error number, and the bytes of a read.
    SIMPLE,
    /// Compact requests; a reply consists of chunks: data, holes, extents, errors with words.
    STRUCTURED,
    /// Like [#STRUCTURED], with lengths of 64 bits both ways.
    EXTENDED
}
