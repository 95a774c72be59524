package dev.lockstep.colo.primary;

import dev.lockstep.colo.PairTls;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.qmp.QmpClient;

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
        RemoteOptions options = RemoteOptions.of(fenced);
        return tls.isOn() ? options.withTls(tls.client(target.address())) : options;
    }

    /// Connects to the monitor.
    QmpClient connect(Duration timeout, QmpClient.Listener listener)
            throws IOException, InterruptedException {
        return QmpClient.connect(monitor, timeout, tls.client(monitor), listener);
    }
}
