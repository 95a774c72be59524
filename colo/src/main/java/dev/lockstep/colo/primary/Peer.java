package dev.lockstep.colo.primary;

import dev.lockstep.block.BlockException;
import dev.lockstep.colo.PairTls;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteExport;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.nbd.client.RemoteServer;
import dev.lockstep.qmp.QmpClient;
import dev.lockstep.qmp.QmpException;

import java.io.IOException;
import java.time.Duration;

/// Where a secondary is.
///
/// @param target its `--listen`, with the pair's name as the export
/// @param monitor its `--monitor`, over which it is driven
/// @param tls how both are spoken to
public record Peer(NbdUri target, Address monitor, PairTls tls) {
    /// The options of a device on the target's export of one session.
    RemoteOptions options(String session) {
        NbdUri fenced = new NbdUri(target.address(), target.export() + "/" + session, target.tls());
        return options(fenced);
    }

    private RemoteOptions options(NbdUri uri) {
        RemoteOptions options = RemoteOptions.of(uri);
        return tls.isOn() ? options.withTls(tls.client(target.address())) : options;
    }

    /// Makes sure that the target answers, and is none for guests: a secondary's own knows the pair
    /// by its sessions alone.
    ///
    /// @throws IOException if not, with one sentence
    void requireTarget(Duration timeout) throws IOException {
        try (RemoteServer server =
                RemoteServer.connect(options(target).withDeadlines(timeout, timeout))) {
            if (has(server, target.export())) {
                throw new QmpException(
                        "%s is an export for guests; give the secondary's --listen"
                                .formatted(target));
            }
        }
    }

    private static boolean has(RemoteServer server, String export) {
        try {
            RemoteExport _ = server.describe(export);
            return true;
        } catch (BlockException _) {
            return false;
        }
    }

    /// Connects to the monitor.
    QmpClient connect(Duration timeout, QmpClient.Listener listener)
            throws IOException, InterruptedException {
        return QmpClient.connect(monitor, timeout, tls.client(monitor), listener);
    }
}
