package dev.lockstep.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep demo`.
@Command(
        name = "demo",
        description = {
            "Run a pair through its whole life, and verify every byte.",
            "",
            "A secondary and a primary, as processes of their own, on this host, in a temporary"
                    + " folder: the first copy, writes, a checkpoint, more writes, kill -9 of the"
                    + " primary, the failover, and every byte of the surviving disk compared with"
                    + " what it has to be. Each step is told with its command and its time.",
            "",
            "It needs nothing but the JDK and this build, cleans up after itself, also when it is"
                    + " interrupted, and exits 0 only if the bytes are right."
        },
        footer = {"", "Example:", "  lockstep demo"})
final class DemoCommand implements Callable<Integer> {
    @Option(
            names = "--size",
            paramLabel = "BYTES",
            description = "The disks' size; K, M and G are understood. Default: 32M.")
    private Converters.Bytes size = new Converters.Bytes(Demo.SIZE_DEFAULT_BYTES);

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (size.count() < Demo.SIZE_MIN_BYTES || size.count() > Demo.SIZE_MAX_BYTES) {
            throw new UsageError("--size is between 16M and 1G");
        }
        try (DemoStage stage = new DemoStage()) {
            new Demo(stage, (int) size.count()).run();
        }
        return 0;
    }
}
