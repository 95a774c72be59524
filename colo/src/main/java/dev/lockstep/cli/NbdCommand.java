package dev.lockstep.cli;

import picocli.CommandLine.Command;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep nbd`.
@Command(name = "nbd", description = "Serve a disk image over NBD, as qemu-nbd does.")
final class NbdCommand implements Callable<Integer> {

    @Override
    public Integer call() throws IOException {
        throw new IOException("this build has no server yet");
    }
}
