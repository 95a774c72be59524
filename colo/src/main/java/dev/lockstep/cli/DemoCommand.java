package dev.lockstep.cli;

import picocli.CommandLine.Command;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep demo`.
@Command(name = "demo", description = "Run a pair through its whole life, and verify every byte.")
final class DemoCommand implements Callable<Integer> {

    @Override
    public Integer call() throws IOException {
        throw new IOException("this build has no demo yet");
    }
}
