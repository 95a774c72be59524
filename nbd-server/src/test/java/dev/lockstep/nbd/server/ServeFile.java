package dev.lockstep.nbd.server;

import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;

import java.nio.file.Path;
import java.time.Duration;

/// The smallest program around the server: `ServeFile FILE ADDRESS [LOOPS [SPIN_MICROS]]`, for
/// measuring the server alone. It serves until it is killed.
final class ServeFile {
    private ServeFile() {}

    public static void main(String[] args) throws Exception {
        int loops = args.length > 2 ? Integer.parseInt(args[2]) : 1;
        long spinMicros = args.length > 3 ? Long.parseLong(args[3]) : 0;
        ServerOptions options =
                ServerOptions.DEFAULT
                        .withEventLoops(loops)
                        .withSpin(Duration.ofNanos(spinMicros * 1000));
        try (FileDevice file = FileDevice.open(FileOptions.of(Path.of(args[0])));
                NbdServer server =
                        NbdServer.start(Exports.of(new Export("disk", new Gate(file))), options)) {
            System.out.println("ready: " + server.listen(Address.parse(args[1])));
            Thread.currentThread().join();
        }
    }
}
