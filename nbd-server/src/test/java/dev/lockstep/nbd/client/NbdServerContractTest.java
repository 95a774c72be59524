package dev.lockstep.nbd.client;

import java.nio.file.Files;
import java.nio.file.Path;

/// The server is the NBD project's own over a raw file: simple replies, no extents.
class NbdServerContractTest extends RemoteContract {
    /// Its flushes wait for the disk.
    @Override
    protected int operations() {
        return 200;
    }

    @Override
    Served serve(int size) throws Exception {
        Path disk = Files.createTempFile(folder, "disk", ".raw");
        Files.write(disk, new byte[size]);
        return Served.by(PeerServer.nbdServer(folder, disk, "flush = true", "trim = true"));
    }
}
