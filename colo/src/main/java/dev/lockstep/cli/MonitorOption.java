package dev.lockstep.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.nbd.Address;
import dev.lockstep.qmp.QmpClient;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.time.Duration;

/// The monitor that a command talks to.
final class MonitorOption {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);

    /// The side has deadlines of its own (`--io-timeout`); this one only ends a wait for a process
    /// that hangs.
    private static final Duration ANSWER_TIMEOUT = Duration.ofMinutes(5);

    @Option(
            names = "--monitor",
            required = true,
            paramLabel = "ADDRESS",
            description = "The monitor of the side: unix:PATH or HOST:PORT.")
    @SuppressWarnings("NullAway.Init")
    private Address address;

    @Mixin private PairTlsOptions tls = new PairTlsOptions();

    /// Runs one command there.
    JsonNode execute(String command, ObjectNode arguments)
            throws IOException, InterruptedException {
        try (QmpClient client =
                QmpClient.connect(
                        address,
                        CONNECT_TIMEOUT,
                        tls.tls().client(address),
                        new QmpClient.Listener() {})) {
            return client.execute(command, arguments, ANSWER_TIMEOUT);
        }
    }
}
