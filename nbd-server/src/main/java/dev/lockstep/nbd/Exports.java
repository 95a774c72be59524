package dev.lockstep.nbd;

import java.util.Arrays;
import java.util.List;

/// Which exports there are at this moment. Both calls come from an event loop: they answer from
/// memory and never wait.
public interface Exports {
    /// What a client that asks for a name is told.
    sealed interface Answer {}

    /// It may use this export.
    ///
    /// @param export the export, whose own name may differ from the one asked for
    record Found(Export export) implements Answer {}

    /// It may not.
    ///
    /// @param errorReply `NbdProtocol.REP_ERR_*`
    /// @param reason one sentence for the client's user
    record Refused(int errorReply, String reason) implements Answer {
        /// There is no such export.
        public Refused(String reason) {
            this(NbdProtocol.REP_ERR_UNKNOWN, reason);
        }
    }

    /// Answers a client that asks for `name`.
    Answer resolve(String name);

    /// The exports that a listing shows.
    List<Export> list();

    /// Exports that never change, found by their exact names.
    static Exports of(Export... exports) {
        List<Export> all = List.copyOf(Arrays.asList(exports));
        return new Exports() {
            @Override
            public Answer resolve(String name) {
                for (Export export : all) {
                    if (export.name().equals(name)) {
                        return new Found(export);
                    }
                }
                return new Refused("there is no export called '%s' here".formatted(name));
            }

            @Override
            public List<Export> list() {
                return all;
            }
        };
    }
}
