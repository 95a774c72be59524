package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// The remote device keeps the contract of every device, whoever serves it.
abstract class RemoteContract extends BlockDeviceContract {
    @TempDir Path folder;
    private @Nullable Served served;

    /// A server that runs until it is closed, and how to reach it.
    record Served(AutoCloseable server, RemoteOptions options) {
        static Served by(PeerServer server) {
            return new Served(server, server.options().withConnections(2));
        }
    }

    /// Serves `size` zero bytes.
    abstract Served serve(int size) throws Exception;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        served = serve(contents.length);
        RemoteDevice device = RemoteDevice.open(served.options());
        fill(device, contents);
        return device;
    }

    @Override
    protected @Nullable BlockDevice reopen(BlockDevice device) throws Exception {
        if (served == null) {
            return null;
        }
        device.close();
        return RemoteDevice.open(served.options());
    }

    @AfterEach
    void stopTheServer() throws Exception {
        if (served != null) {
            served.server().close();
        }
    }
}
