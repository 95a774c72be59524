package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// The remote device keeps the contract of every device when the server is nbdkit over memory.
class NbdkitContractTest extends BlockDeviceContract {
    @TempDir Path folder;
    private @Nullable PeerServer server;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        server = PeerServer.nbdkit(folder, "memory", Integer.toString(contents.length));
        RemoteDevice device = RemoteDevice.open(server.options().withConnections(2));
        fill(device, contents);
        return device;
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
