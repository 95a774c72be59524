package dev.lockstep.cli;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import picocli.CommandLine.Option;

/// Where the secondary is that a side is to be paired with.
final class PeerOptions {
    @Option(
            names = "--secondary",
            required = true,
            paramLabel = "URI",
            description =
                    "The secondary's --listen, with the pair's name as export:"
                            + " nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH.")
    @SuppressWarnings("NullAway.Init")
    NbdUri secondary;

    @Option(
            names = "--secondary-monitor",
            required = true,
            paramLabel = "ADDRESS",
            description = "The secondary's --monitor, over which it is driven.")
    @SuppressWarnings("NullAway.Init")
    Address monitor;
}
