package dev.lockstep.nbd;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.graph.Gate;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// A block device under the name by which clients ask for it.
///
/// @param name what a client asks for; may be empty, which is the default export
/// @param description words for people, shown in listings; may be empty
/// @param root the edge through which every request of every client goes. It belongs to this
///     export alone, so that shutting it stops the clients and nothing else; a read-only export has
///     a [Gate#readOnly] one
/// @param tlsOnly whether only clients that use TLS may use it, or learn of it
/// @param minimumBlockSize what every offset and length is a multiple of, a power of two up to
///     [#MINIMUM_BLOCK_SIZE_MAX]. With more than 1, clients that do not ask for block sizes are
///     refused, and so are requests that do not fit
/// @param resizable whether clients may change its size. It should then have one client: others
///     keep the size that they were told, and fail beyond the end
/// @param contexts what BLOCK_STATUS can tell, each under a name of its own
public record Export(
        String name,
        String description,
        Gate root,
        boolean tlsOnly,
        int minimumBlockSize,
        boolean resizable,
        List<MetaContext> contexts) {
    /// The largest minimum that the protocol allows.
    public static final int MINIMUM_BLOCK_SIZE_MAX = 64 << 10;

    /// Checks that everything fits the protocol.
    public Export {
        requireShort("name", name);
        requireShort("description", description);
        contexts = List.copyOf(contexts);
        contexts.forEach(context -> requireShort("context " + context.name(), context.name()));
        if (Integer.bitCount(minimumBlockSize) != 1 || minimumBlockSize > MINIMUM_BLOCK_SIZE_MAX) {
            throw new IllegalArgumentException(
                    "a minimum block size of %d bytes; NBD allows powers of two up to %d"
                            .formatted(minimumBlockSize, MINIMUM_BLOCK_SIZE_MAX));
        }
    }

    /// An export that needs no TLS, takes requests of any size, and tells what is allocated.
    public Export(String name, String description, Gate root) {
        this(name, description, root, false, 1, false, List.of(MetaContext.allocation(root)));
    }

    /// An export without a description.
    public Export(String name, Gate root) {
        this(name, "", root);
    }

    /// An export of a device, behind a gate of its own.
    public Export(String name, BlockDevice device) {
        this(name, new Gate(device));
    }

    /// The same for clients that use TLS alone.
    public Export withTlsOnly() {
        return new Export(name, description, root, true, minimumBlockSize, resizable, contexts);
    }

    /// The same with one more metadata context.
    public Export withContext(MetaContext context) {
        List<MetaContext> more = new ArrayList<>(contexts);
        more.add(context);
        return new Export(name, description, root, tlsOnly, minimumBlockSize, resizable, more);
    }

    /// The same with another minimum block size.
    public Export withMinimumBlockSize(int bytes) {
        return new Export(name, description, root, tlsOnly, bytes, resizable, contexts);
    }

    /// The same whose size clients may change, if the device and its permissions let them.
    public Export withResizing() {
        return new Export(name, description, root, tlsOnly, minimumBlockSize, true, contexts);
    }

    /// Whether writing is refused.
    public boolean readOnly() {
        return root.capabilities().readOnly();
    }

    /// The size that new clients are told: what the device has grown to, in whole blocks, since
    /// clients could not reach the rest.
    public long size() {
        return root.remeasure() & -minimumBlockSize;
    }

    /// Returns what a client is told it may do.
    ///
    /// @param manyConnections whether a second connection to this export would be let in
    /// @param style what was agreed on
    /// @param contexts whether metadata contexts of this export were chosen
    public int transmissionFlags(boolean manyConnections, HeaderStyle style, boolean contexts) {
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
        if (resizable && !capabilities.readOnly()) {
            flags |= NbdProtocol.FLAG_SEND_RESIZE;
        }
        if (manyConnections && (capabilities.sharedFlush() || capabilities.readOnly())) {
            flags |= NbdProtocol.FLAG_CAN_MULTI_CONN;
        }
        if (style.chunks()) {
            flags |= NbdProtocol.FLAG_SEND_DF;
        }
        if (style == HeaderStyle.EXTENDED && contexts) {
            flags |= NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD;
        }
        return flags;
    }

    /// The size that requests are best a multiple of.
    public int preferredBlockSize() {
        int preferred = root.capabilities().preferredBlockSize();
        return Math.max(
                Math.max(preferred, minimumBlockSize), NbdProtocol.PREFERRED_BLOCK_BYTES_MIN);
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
