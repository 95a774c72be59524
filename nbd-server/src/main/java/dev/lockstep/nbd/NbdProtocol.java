package dev.lockstep.nbd;

import java.time.Duration;

/// Every number of the NBD protocol, once, for the server, the client and the tests that misbehave.
/// Names and sections follow the protocol document (doc/proto.md of the NBD project); all fields on
/// the wire are big-endian.
public final class NbdProtocol {
    private NbdProtocol() {}

    // ---- Ports ----

    /// The port registered for NBD.
    public static final int DEFAULT_PORT = 10809;

    // ---- Handshake: the server's greeting and the client's answer ----

    /// `NBDMAGIC`: opens the greeting.
    public static final long INIT_MAGIC = 0x4e42444d41474943L;

    /// `IHAVEOPT`: follows it in the newstyle greeting, and opens every option.
    public static final long OPTION_MAGIC = 0x49484156454F5054L;

    /// Follows [#INIT_MAGIC] in the greeting of an oldstyle server.
    public static final long OLDSTYLE_MAGIC = 0x00420281861253L;

    /// Opens every reply to an option.
    public static final long OPTION_REPLY_MAGIC = 0x3e889045565a9L;

    /// Handshake flag: the server answers unknown options with an error and goes on.
    public static final int FLAG_FIXED_NEWSTYLE = 1;

    /// Handshake flag: the server can leave out the padding after its answer to EXPORT_NAME.
    public static final int FLAG_NO_ZEROES = 1 << 1;

    /// Client flag: the client knows [#FLAG_FIXED_NEWSTYLE].
    public static final int FLAG_C_FIXED_NEWSTYLE = 1;

    /// Client flag: the client wants the padding left out.
    public static final int FLAG_C_NO_ZEROES = 1 << 1;

    /// Zeroes that follow the answer to EXPORT_NAME unless they were negotiated away.
    public static final int EXPORT_NAME_PADDING_BYTES = 124;

    /// The greeting: two magics and the handshake flags.
    public static final int GREETING_BYTES = 8 + 8 + 2;

    /// The header of an option: magic, option, length of the data.
    public static final int OPTION_HEADER_BYTES = 8 + 4 + 4;

    /// The header of a reply to an option: magic, option, reply type, length of the data.
    public static final int OPTION_REPLY_HEADER_BYTES = 8 + 4 + 4 + 4;

    // ---- Options ----

    /// Choose an export and enter transmission, with no way to refuse but hanging up.
    public static final int OPT_EXPORT_NAME = 1;

    /// End the session.
    public static final int OPT_ABORT = 2;

    /// List the exports.
    public static final int OPT_LIST = 3;

    /// Withdrawn by the protocol.
    public static final int OPT_PEEK_EXPORT = 4;

    /// Begin TLS.
    public static final int OPT_STARTTLS = 5;

    /// Ask about an export.
    public static final int OPT_INFO = 6;

    /// Ask about an export and enter transmission.
    public static final int OPT_GO = 7;

    /// Agree on structured replies.
    public static final int OPT_STRUCTURED_REPLY = 8;

    /// List the metadata contexts of an export.
    public static final int OPT_LIST_META_CONTEXT = 9;

    /// Choose metadata contexts for BLOCK_STATUS.
    public static final int OPT_SET_META_CONTEXT = 10;

    /// Agree on 64-bit request and reply headers.
    public static final int OPT_EXTENDED_HEADERS = 11;

    // ---- Replies to options ----

    /// Accepted, or the end of a list.
    public static final int REP_ACK = 1;

    /// One export of a list.
    public static final int REP_SERVER = 2;

    /// One item about an export.
    public static final int REP_INFO = 3;

    /// One metadata context.
    public static final int REP_META_CONTEXT = 4;

    /// Set in every reply that is an error.
    public static final int REP_FLAG_ERROR = 1 << 31;

    /// Unknown option.
    public static final int REP_ERR_UNSUP = REP_FLAG_ERROR | 1;

    /// Known, but not allowed here.
    public static final int REP_ERR_POLICY = REP_FLAG_ERROR | 2;

    /// Malformed, or out of place.
    public static final int REP_ERR_INVALID = REP_FLAG_ERROR | 3;

    /// Not on this platform.
    public static final int REP_ERR_PLATFORM = REP_FLAG_ERROR | 4;

    /// Not before TLS.
    public static final int REP_ERR_TLS_REQD = REP_FLAG_ERROR | 5;

    /// No such export.
    public static final int REP_ERR_UNKNOWN = REP_FLAG_ERROR | 6;

    /// The server is going away.
    public static final int REP_ERR_SHUTDOWN = REP_FLAG_ERROR | 7;

    /// The client must ask for the block sizes first.
    public static final int REP_ERR_BLOCK_SIZE_REQD = REP_FLAG_ERROR | 8;

    /// Too much was asked.
    public static final int REP_ERR_TOO_BIG = REP_FLAG_ERROR | 9;

    /// Not without extended headers.
    public static final int REP_ERR_EXT_HEADER_REQD = REP_FLAG_ERROR | 10;

    // ---- Items of REP_INFO ----

    /// Size and transmission flags.
    public static final int INFO_EXPORT = 0;

    /// The canonical name.
    public static final int INFO_NAME = 1;

    /// Words for people.
    public static final int INFO_DESCRIPTION = 2;

    /// Minimum, preferred and maximum size of a request.
    public static final int INFO_BLOCK_SIZE = 3;

    // ---- Transmission flags ----

    /// Always set.
    public static final int FLAG_HAS_FLAGS = 1;

    /// Writing is refused.
    public static final int FLAG_READ_ONLY = 1 << 1;

    /// FLUSH is known.
    public static final int FLAG_SEND_FLUSH = 1 << 2;

    /// [#CMD_FLAG_FUA] is known.
    public static final int FLAG_SEND_FUA = 1 << 3;

    /// Seeks are slow.
    public static final int FLAG_ROTATIONAL = 1 << 4;

    /// TRIM is known.
    public static final int FLAG_SEND_TRIM = 1 << 5;

    /// WRITE_ZEROES is known.
    public static final int FLAG_SEND_WRITE_ZEROES = 1 << 6;

    /// [#CMD_FLAG_DF] is known; only with structured replies.
    public static final int FLAG_SEND_DF = 1 << 7;

    /// A flush covers all connections.
    public static final int FLAG_CAN_MULTI_CONN = 1 << 8;

    /// RESIZE is known.
    public static final int FLAG_SEND_RESIZE = 1 << 9;

    /// CACHE is known.
    public static final int FLAG_SEND_CACHE = 1 << 10;

    /// [#CMD_FLAG_FAST_ZERO] is known.
    public static final int FLAG_SEND_FAST_ZERO = 1 << 11;

    /// BLOCK_STATUS takes a payload that selects contexts; only with extended headers.
    public static final int FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12;

    // ---- Requests ----

    /// Opens every request.
    public static final int REQUEST_MAGIC = 0x25609513;

    /// Opens every request once extended headers are agreed.
    public static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;

    /// The header of a request: magic, flags, type, cookie, offset, length.
    public static final int REQUEST_BYTES = 4 + 2 + 2 + 8 + 8 + 4;

    /// The same with a length of 64 bits.
    public static final int EXTENDED_REQUEST_BYTES = 4 + 2 + 2 + 8 + 8 + 8;

    /// Read bytes.
    public static final int CMD_READ = 0;

    /// Write bytes; the payload follows the header.
    public static final int CMD_WRITE = 1;

    /// End the session; there is no reply.
    public static final int CMD_DISC = 2;

    /// Put everything answered so far on stable storage.
    public static final int CMD_FLUSH = 3;

    /// The bytes are no longer needed.
    public static final int CMD_TRIM = 4;

    /// The bytes will be needed soon.
    public static final int CMD_CACHE = 5;

    /// Write zeroes.
    public static final int CMD_WRITE_ZEROES = 6;

    /// What is the range made of?
    public static final int CMD_BLOCK_STATUS = 7;

    /// Change the size (experimental).
    public static final int CMD_RESIZE = 8;

    /// Answer only when it is on stable storage.
    public static final int CMD_FLAG_FUA = 1;

    /// WRITE_ZEROES: leave no hole.
    public static final int CMD_FLAG_NO_HOLE = 1 << 1;

    /// READ: answer in one chunk.
    public static final int CMD_FLAG_DF = 1 << 2;

    /// BLOCK_STATUS: one extent is enough.
    public static final int CMD_FLAG_REQ_ONE = 1 << 3;

    /// WRITE_ZEROES: fail rather than be as slow as a write.
    public static final int CMD_FLAG_FAST_ZERO = 1 << 4;

    /// Extended headers: the length is that of a payload.
    public static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;

    // ---- Replies ----

    /// Opens a simple reply.
    public static final int SIMPLE_REPLY_MAGIC = 0x67446698;

    /// Opens a chunk of a structured reply.
    public static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;

    /// Opens a chunk of an extended reply.
    public static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

    /// A simple reply without its data: magic, error, cookie.
    public static final int SIMPLE_REPLY_BYTES = 4 + 4 + 8;

    /// The header of a structured chunk: magic, flags, type, cookie, length.
    public static final int STRUCTURED_REPLY_BYTES = 4 + 2 + 2 + 8 + 4;

    /// The header of an extended chunk: magic, flags, type, cookie, offset, length.
    public static final int EXTENDED_REPLY_BYTES = 4 + 2 + 2 + 8 + 8 + 8;

    /// What precedes the bytes in a chunk of data: their offset.
    public static final int OFFSET_DATA_BYTES = 8;

    /// The payload of a hole: offset and length.
    public static final int OFFSET_HOLE_BYTES = 8 + 4;

    /// The last chunk of its reply.
    public static final int REPLY_FLAG_DONE = 1;

    /// Nothing but the flag.
    public static final int REPLY_TYPE_NONE = 0;

    /// Bytes at an offset.
    public static final int REPLY_TYPE_OFFSET_DATA = 1;

    /// Zeroes at an offset.
    public static final int REPLY_TYPE_OFFSET_HOLE = 2;

    /// Extents of one metadata context.
    public static final int REPLY_TYPE_BLOCK_STATUS = 5;

    /// The same with 64-bit lengths.
    public static final int REPLY_TYPE_BLOCK_STATUS_EXT = 6;

    /// Set in every chunk that is an error.
    public static final int REPLY_TYPE_FLAG_ERROR = 1 << 15;

    /// An error: number and message.
    public static final int REPLY_TYPE_ERROR = REPLY_TYPE_FLAG_ERROR | 1;

    /// An error at an offset.
    public static final int REPLY_TYPE_ERROR_OFFSET = REPLY_TYPE_FLAG_ERROR | 2;

    // ---- Metadata ----

    /// What is allocated and what reads as zeroes.
    public static final String META_BASE_ALLOCATION = "base:allocation";

    /// Which layer of the chain provides the bytes.
    public static final String META_QEMU_ALLOCATION_DEPTH = "qemu:allocation-depth";

    /// What has changed; the name of a bitmap follows.
    public static final String META_QEMU_DIRTY_BITMAP = "qemu:dirty-bitmap:";

    /// What the peer of a replicated disk lacks. The specification keeps names that begin with `x-`
    /// for contexts that nobody registered.
    public static final String META_LOCKSTEP_REPLICATION = "x-lockstep:replication";

    /// `base:allocation`: nothing is allocated.
    public static final int STATE_HOLE = 1;

    /// `base:allocation`: it reads as zeroes.
    public static final int STATE_ZERO = 1 << 1;

    // ---- Errors ----

    /// Not permitted.
    public static final int EPERM = 1;

    /// Input/output error.
    public static final int EIO = 5;

    /// No memory.
    public static final int ENOMEM = 12;

    /// Invalid request.
    public static final int EINVAL = 22;

    /// No space, and any write beyond the end.
    public static final int ENOSPC = 28;

    /// Too large for one reply.
    public static final int EOVERFLOW = 75;

    /// Not supported, and a fast zero that would be slow.
    public static final int ENOTSUP = 95;

    /// The server is going away.
    public static final int ESHUTDOWN = 108;

    // ---- Limits that both sides keep ----

    /// The longest string the protocol allows: names, descriptions, error messages, contexts.
    public static final int STRING_BYTES_MAX = 4096;

    /// The largest payload of a read or write that every peer must expect to work: 32 MiB.
    public static final int PAYLOAD_BYTES_MAX = 32 << 20;

    /// The most extents in one BLOCK_STATUS chunk.
    public static final int EXTENTS_MAX = 1 << 20;

    /// The smallest preferred block size that may be advertised.
    public static final int PREFERRED_BLOCK_BYTES_MIN = 512;

    /// How long a whole handshake may take before the server hangs up.
    public static final Duration HANDSHAKE_DEADLINE = Duration.ofSeconds(10);
}
