package dev.lockstep.nbd;

import dev.lockstep.block.Capabilities;
import dev.lockstep.block.graph.Gate;

import java.nio.charset.StandardCharsets;

/// A block device under the name by which clients ask for it.
///
/// @param name what a client asks for; may be empty, which is the default export
/// @param description words for people, shown in listings; may be empty
/// @param root the edge through which every request of every client goes. It belongs to this
///     export alone, so that shutting it stops the clients and nothing else; a read-only export has
///     a [Gate#readOnly] one
/// @param tlsOnly whether only clients that use TLS may use it, or learn of it
public record Export(String name, String description, Gate root, boolean tlsOnly) {
    /// Checks that both strings fit the protocol.
    public Export {
        requireShort("name", name);
        requireShort("description", description);
    }

    /// An export that needs no TLS.
    public Export(String name, String description, Gate root) {
        this(name, description, root, false);
    }

    /// An export without a description.
    public Export(String name, Gate root) {
        this(name, "", root);
    }

    /// The same for clients that use TLS alone.
    public Export withTlsOnly() {
        return new Export(name, description, root, true);
    }

    /// Whether writing is refused.
    public boolean readOnly() {
        return root.capabilities().readOnly();
    }

    /// Returns what a client is told it may do.
    ///
    /// @param manyConnections whether a second connection to this export would be let in
    /// @param structuredReplies whether this client understands chunks
    public int transmissionFlags(boolean manyConnections, boolean structuredReplies) {
        Capabilities capabilities = root.capabilities();
        int flags =
                NbdProtocol.FLAG_HAS_FLAGS
                        | NbdProtocol.FLAG_SEND_FLUSH
                        | NbdProtocol.FLAG_SEND_FUA
                        | NbdProtocol.FLAG_SEND_CACHE;
        flags |=
                capabilities.readOnly()
                        ? NbdProtocol.FLAG_READ_ONLY
                        : NbdProtocol.FLAG_SEND_TRIM
                                | NbdProtocol.FLAG_SEND_WRITE_ZEROES
                                | NbdProtocol.FLAG_SEND_FAST_ZERO;
        if (manyConnections && (capabilities.sharedFlush() || capabilities.readOnly())) {
            flags |= NbdProtocol.FLAG_CAN_MULTI_CONN;
        }
        if (structuredReplies) {
            flags |= NbdProtocol.FLAG_SEND_DF;
        }
        return flags;
    }

    /// The size that requests are best a multiple of.
    public int preferredBlockSize() {
        return Math.max(
                root.capabilities().preferredBlockSize(), NbdProtocol.PREFERRED_BLOCK_BYTES_MIN);
    }

    private static void requireShort(String what, String text) {
        int bytes = text.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > NbdProtocol.STRING_BYTES_MAX) {
            throw new IllegalArgumentException(
                    "the %s of an export has %d bytes; NBD allows %d"
                            .formatted(what, bytes, NbdProtocol.STRING_BYTES_MAX));
        }
    }
}
