package dev.lockstep.nbd.client;

import java.nio.file.Files;
import java.nio.file.Path;

/// The server is qemu-nbd over a raw file.
class QemuNbdContractTest extends RemoteContract {
    @Override
    Served serve(int size) throws Exception {
        Path disk = Files.createTempFile(folder, "disk", ".raw");
        Files.write(disk, new byte[size]);
        return Served.by(PeerServer.qemuNbd(folder, "--shared=4", disk.toString()));
    }
}
