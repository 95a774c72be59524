package dev.lockstep.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The kernel's own NBD client, `/dev/nbdX`. The program `nbd-client` hands it a connection and
/// takes it away again: it knows both of the kernel's interfaces.
final class KernelDevice {
    private static final String ATTACHER = "nbd-client";

    private KernelDevice() {}

    /// Where the server of a device listens unless -k says otherwise.
    static Path socket(Path device) {
        return Path.of("/run/lock").resolve("lockstep-" + device.getFileName());
    }

    /// Refuses a device that is not there.
    static void check(Path device) throws IOException {
        if (!Files.exists(device)) {
            throw new IOException(
                    ("there is no %s: the kernel's NBD driver is not loaded (modprobe nbd), or this"
                                    + " kernel has none")
                            .formatted(device));
        }
    }

    /// Connects a device to an export, with as many connections as there may be.
    static void attach(Path device, Path socket, String export)
            throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of(ATTACHER, "-unix", socket.toString(), device.toString()));
        if (!export.isEmpty()) {
            command.addAll(List.of("-name", export));
        }
        run(command, "cannot attach " + device);
    }

    /// Disconnects a device.
    static void detach(Path device) throws IOException, InterruptedException {
        check(device);
        run(List.of(ATTACHER, "-d", device.toString()), "cannot detach " + device);
    }

    private static void run(List<String> command, String failure)
            throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new IOException(
                    "%s: the program %s is missing (Debian: apt-get install %s)"
                            .formatted(failure, ATTACHER, ATTACHER),
                    e);
        }
        process.getOutputStream().close();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException("%s: %s".formatted(failure, said.strip().replace('\n', ';')));
        }
    }
}
