package dev.lockstep.block.filter.delay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.fault.Fault;
import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.FaultDevice;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// The driver `delay`. The package's description has its options.
public final class DelayOpener {
    private static final long LATENCY_MAX_MILLIS = Duration.ofDays(1).toMillis();

    private DelayOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        long write = latency(options, Operation.WRITE, 0);
        List<Fault> delays = new ArrayList<>();
        for (Operation operation : Operation.values()) {
            long otherwise =
                    switch (operation) {
                        case WRITE, ZERO, DISCARD -> write;
                        case READ, FLUSH, EXTENTS -> 0;
                    };
            long millis = latency(options, operation, otherwise);
            if (millis > 0) {
                delays.add(Fault.delay(Duration.ofMillis(millis)).on(operation));
            }
        }
        return () -> new FaultDevice(file.gate(), delays.toArray(Fault[]::new));
    }

    private static long latency(NodeOptions options, Operation operation, long otherwise)
            throws BlockException {
        String name = operation.name().toLowerCase(Locale.ROOT);
        return options.number(name + "-latency", 0, LATENCY_MAX_MILLIS, otherwise);
    }
}
