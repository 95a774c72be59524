package dev.lockstep.cli;

import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.server.FaultSyntax;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.nbd.server.ServerFault;
import dev.lockstep.nbd.server.ServerOptions;

import picocli.CommandLine.Option;

import java.util.List;
import java.util.Set;

/// What `lockstep nbd` leaves out or does wrong on purpose.
final class ClientTesting {
    @Option(
            names = "--degrade",
            paramLabel = "no-WHAT",
            split = ",",
            description =
                    "For testing clients: do without parts of the protocol, as an older server"
                            + " would. Any of ${COMPLETION-CANDIDATES}, with commas between.")
    private List<Degradation> degradations = List.of();

    @Option(
            names = "--fault",
            paramLabel = "FAULT",
            description = {"For testing clients: do something wrong.", FaultSyntax.HELP})
    private List<ServerFault> faults = List.of();

    ServerOptions applyTo(ServerOptions options) {
        return options.without(Set.copyOf(degradations));
    }

    void inject(NbdServer server) {
        faults.forEach(server::inject);
    }
}
