package dev.lockstep.colo.secondary;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;

import org.jspecify.annotations.Nullable;

import java.util.List;

/// The exports of the target's listener: that of the present session, and nothing else. Its name
/// holds the session's nonce, so that nobody but the primary that joined can ask for it.
final class TargetExports implements Exports {
    private final String name;
    private volatile @Nullable Export present;

    TargetExports(String name) {
        this.name = name;
    }

    void open(Nonce session, Gate edge) {
        present = new Export(name + "/" + session, "the target of a joined primary", edge);
    }

    /// Admits nobody from now on.
    ///
    /// @return the export that is gone, or null if there was none
    @Nullable Export close() {
        Export gone = present;
        present = null;
        return gone;
    }

    boolean isOpen() {
        return present != null;
    }

    @Override
    public Answer resolve(String asked) {
        Export open = present;
        if (open != null && open.name().equals(asked)) {
            return new Found(open);
        }
        if (asked.equals(name)) {
            return new Refused(
                    "only a primary that has joined over the monitor can write to '%s'; its guest's"
                                    .formatted(name)
                            + " export is at the other listener");
        }
        return new Refused(
                asked.startsWith(name + "/")
                        ? "this session of '%s' is over".formatted(name)
                        : "there is no export called '%s' here".formatted(asked));
    }

    /// The name of a session is a secret of the two sides.
    @Override
    public List<Export> list() {
        return List.of();
    }
}
