package dev.lockstep.cli;

import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.SyncMode;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Callable;

/// `lockstep colo primary`.
@Command(
        name = "primary",
        description = {
            "Serve a guest's disk whose every write also goes to a secondary.",
            "",
            "A write succeeds once both disks did it, a flush once both have flushed; reads come from"
                    + " the local disk. If the secondary is lost, that is made durable first, and"
                    + " then the guest goes on with the local disk alone (--on-peer-loss continue) or"
                    + " is held (stop).",
            "",
            "Starting needs both disks to hold the same bytes. After a clean stop of both sides the"
                    + " stored records prove it and nothing has to be said. Otherwise say --sync full"
                    + " to copy this disk over while the guest already runs, or --sync none as your"
                    + " word that they are equal.",
            "",
            "Once joined (with --sync full: once the copy has begun) it prints one line on standard"
                    + " output, 'ready: URI' of the guest's export. SIGTERM, SIGINT or the monitor's"
                    + " quit flush both sides, store and end it with status 0."
        },
        footer = {
            "",
            "Example:",
            "  lockstep colo primary --name vm1 --disk P.raw --sync full \\",
            "      --secondary nbd://127.0.0.1:10809/vm1 --secondary-monitor 127.0.0.1:4444 \\",
            "      --export unix:/run/vm1.sock --monitor unix:/run/vm1.mon"
        })
final class PrimaryCommand implements Callable<Integer> {
    @Mixin private SideOptions side = new SideOptions();

    @Mixin private PeerOptions peer = new PeerOptions();

    @Option(
            names = "--sync",
            paramLabel = "full|none",
            description =
                    "full: copy this disk over the secondary's. none: both hold the same bytes, on"
                            + " your word. Default: go on only where the stored records prove it.")
    private SyncMode sync = SyncMode.UNSPECIFIED;

    @Option(
            names = "--on-peer-loss",
            paramLabel = "continue|stop",
            description =
                    "What happens to the guest's writes without a secondary. continue (the default):"
                            + " they go to this disk alone. stop: they wait for a resync, or for"
                            + " the monitor's x-colo-lost-heartbeat, which lets them go on alone.")
    private OnPeerLoss onPeerLoss = OnPeerLoss.CONTINUE;

    @Option(
            names = "--io-timeout",
            paramLabel = "SECONDS",
            description =
                    "How long a request to the secondary may stay unanswered before it counts as"
                            + " lost. Default: 10.")
    private Duration ioTimeout = PrimaryOptions.IO_TIMEOUT_DEFAULT;

    @Option(
            names = "--checkpoint-every",
            paramLabel = "SECONDS",
            description = "Take a checkpoint so often by itself. Default: only when asked.")
    private @Nullable Duration checkpointEvery;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        PrimaryOptions options = options();
        return ServerProcess.run(spec.qualifiedName(), () -> start(options));
    }

    private ServerProcess.Server start(PrimaryOptions options)
            throws IOException, InterruptedException {
        Side running = Sides.primary(options);
        Sides.tellPort(spec.qualifiedName(), "--monitor", side.monitor, running.status().monitor());
        if (options.sync() == SyncMode.FULL) {
            Sides.showProgress(spec.qualifiedName(), running);
        }
        return Sides.server(running);
    }

    private PrimaryOptions options() {
        try {
            return new PrimaryOptions(
                    side.name,
                    side.disk,
                    side.format,
                    peer.secondary,
                    peer.monitor,
                    side.export.absolute(),
                    side.monitor.absolute(),
                    side.state(PrimaryOptions.defaultState(side.disk)),
                    sync,
                    onPeerLoss,
                    ioTimeout,
                    Optional.ofNullable(checkpointEvery),
                    side.force,
                    side.insecure,
                    side.tls.tls());
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }
}
