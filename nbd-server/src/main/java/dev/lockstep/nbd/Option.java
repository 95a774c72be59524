package dev.lockstep.nbd;

import java.util.List;

/// What a client can ask for during the handshake.
public sealed interface Option {
    /// The number of the option on the wire.
    int code();

    /// Use this export; no refusal is possible but hanging up.
    record ExportName(String name) implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_EXPORT_NAME;
        }
    }

    /// End the session.
    record Abort() implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_ABORT;
        }
    }

    /// List the exports.
    record ListExports() implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_LIST;
        }
    }

    /// Begin TLS.
    record StartTls() implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_STARTTLS;
        }
    }

    /// Tell about an export.
    ///
    /// @param items the `INFO_*` wanted beyond the mandatory one
    record ExportInfo(String name, List<Integer> items) implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_INFO;
        }
    }

    /// Tell about an export and use it.
    ///
    /// @param items the `INFO_*` wanted beyond the mandatory one
    record Go(String name, List<Integer> items) implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_GO;
        }
    }

    /// Agree on structured replies.
    record StructuredReply() implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_STRUCTURED_REPLY;
        }
    }

    /// Agree on headers with lengths of 64 bits.
    record ExtendedHeaders() implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_EXTENDED_HEADERS;
        }
    }

    /// Which metadata contexts match these queries? None means all.
    record ListMetaContext(String export, List<String> queries) implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_LIST_META_CONTEXT;
        }
    }

    /// Use the metadata contexts that match these queries.
    record SetMetaContext(String export, List<String> queries) implements Option {
        @Override
        public int code() {
            return NbdProtocol.OPT_SET_META_CONTEXT;
        }
    }

    /// An option that this implementation does not know.
    record Unknown(int code) implements Option {}

    /// A known option whose data are wrong.
    ///
    /// @param errorReply the `REP_ERR_*` that answers it
    /// @param reason one sentence for the client's user
    record Malformed(int code, int errorReply, String reason) implements Option {}
}
