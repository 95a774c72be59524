package dev.lockstep.cli;

import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.SecondaryOptions.Buffers;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.Status;
import dev.lockstep.nbd.Address;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep colo secondary`.
@Command(
        name = "secondary",
        description = {
            "Stand by with a copy of a primary's disk, ready to take over.",
            "",
            "The primary writes to the export at --listen. What it overwrites is saved first, so that"
                    + " this side's guest, at --export, sees exactly the last checkpoint plus its own"
                    + " writes, and a failover can go back to it. Both exports are called --name."
                    + " Until a primary has joined, the guest's reads and writes fail.",
            "",
            "Once it listens it prints one line on standard output, 'ready: URI' of the guest's"
                    + " export. SIGTERM, SIGINT or the monitor's quit flush, store and end it with"
                    + " status 0. Started again after a failover, it serves on as the primary that it"
                    + " became."
        },
        footer = {
            "",
            "What survives: the disk and its record, always. With --durable so do the buffers: a",
            "restart, or the host's, holds exactly the last checkpoint, and what its own guest",
            "flushed since; `failover --to checkpoint` works as before. Without it, in a folder as",
            "in memory, a restart during a session has lost the checkpoint, the record says so, and",
            "only --force promotes what is left.",
            "",
            "Example:",
            "  lockstep colo secondary --name vm1 --disk S.raw --buffers ram \\",
            "      --listen 127.0.0.1:10809 --export unix:/run/vm1.sock --monitor 127.0.0.1:4444"
        })
final class SecondaryCommand implements Callable<Integer> {
    @Mixin private SideOptions side = new SideOptions();

    @Option(
            names = "--buffers",
            required = true,
            paramLabel = "DIR|ram",
            description =
                    "Where the saved old bytes and the guest's own writes live between checkpoints:"
                            + " in files in a folder, which is created if missing, or in memory.")
    @SuppressWarnings("NullAway.Init")
    private String buffers;

    @Option(
            names = "--durable",
            description =
                    "Have each saved byte on stable storage in the folder of --buffers before it is"
                            + " overwritten: after a crash or a power cut this side holds its last"
                            + " checkpoint. The first write to a cluster then waits for the disk.")
    private boolean durable;

    @Option(
            names = "--listen",
            required = true,
            paramLabel = "ADDRESS",
            description =
                    "Where the joined primary, and nobody else, writes to. Where port 0 took a free"
                            + " one, here or for --monitor, standard error and `colo status` say"
                            + " which.")
    @SuppressWarnings("NullAway.Init")
    private Address listen;

    @Option(
            names = "--buffer-limit",
            paramLabel = "BYTES",
            description =
                    "How much the buffers may hold before a write of the primary is refused, which"
                            + " then goes on alone; K, M and G are understood. At 80%% the monitor"
                            + " sends COLO_BUFFERS_FILLING: take a checkpoint then. Default: 1G in"
                            + " memory, 16G in a folder.")
    private Converters.@Nullable Bytes bufferLimit;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        SecondaryOptions options = options();
        return ServerProcess.run(spec.qualifiedName(), () -> start(options));
    }

    private ServerProcess.Server start(SecondaryOptions options) throws IOException {
        Side running = Sides.secondary(options);
        Status status = running.status();
        String command = spec.qualifiedName();
        Sides.tellPort(command, "--listen", listen, String.valueOf(status.listen()));
        Sides.tellPort(command, "--monitor", side.monitor, status.monitor());
        return Sides.server(running);
    }

    private SecondaryOptions options() {
        try {
            Buffers place = Buffers.parse(buffers, durable);
            return new SecondaryOptions(
                    side.name,
                    side.disk,
                    side.format,
                    place,
                    listen.absolute(),
                    side.export.absolute(),
                    side.monitor.absolute(),
                    side.state(SecondaryOptions.defaultState(side.disk)),
                    bufferLimit == null
                            ? SecondaryOptions.defaultLimitBytes(place)
                            : bufferLimit.count(),
                    side.force,
                    side.insecure,
                    side.tls.tls());
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }
}
