package dev.lockstep.cli.img;

import picocli.CommandLine.Option;

/// The options that say how much a command that takes long tells.
final class Telling {
    @Option(names = "-p", description = "Show progress in a terminal.")
    private boolean progress;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    boolean quiet() {
        return quiet;
    }

    /// Whether its progress is shown.
    boolean progress() {
        return progress && !quiet;
    }
}
