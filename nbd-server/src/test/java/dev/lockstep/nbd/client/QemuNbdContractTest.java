package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;

/// The remote device keeps the contract of every device when the server is qemu-nbd over a raw
/// file.
class QemuNbdContractTest extends BlockDeviceContract {
    @TempDir Path folder;
    private @Nullable PeerServer server;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        Path disk = Files.createTempFile(folder, "disk", ".raw");
        Files.write(disk, contents);
        server = PeerServer.qemuNbd(folder, "--shared=4", disk.toString());
        return RemoteDevice.open(server.options());
    }

    @Override
    protected @Nullable BlockDevice reopen(BlockDevice device) throws Exception {
        if (server == null) {
            return null;
        }
        device.close();
        return RemoteDevice.open(server.options());
    }

    @AfterEach
    void stopTheServer() {
        if (server != null) {
            server.close();
        }
    }
}
