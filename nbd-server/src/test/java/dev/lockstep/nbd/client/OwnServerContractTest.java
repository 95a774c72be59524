package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;

/// The remote device keeps the contract of every device when the server is our own.
class OwnServerContractTest extends BlockDeviceContract {
    private @Nullable NbdServer server;
    private @Nullable RemoteOptions options;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice memory = new MemoryDevice(contents.length);
        fill(memory, contents);
        server = NbdServer.start(Exports.of(new Export("disk", new Gate(memory))));
        Address bound = server.listen(Address.parse("127.0.0.1:0"));
        options = RemoteOptions.of(new NbdUri(bound, "disk")).withConnections(3);
        return RemoteDevice.open(options);
    }

    @Override
    protected @Nullable BlockDevice reopen(BlockDevice device) throws Exception {
        if (options == null) {
            return null;
        }
        device.close();
        return RemoteDevice.open(options);
    }

    @AfterEach
    void stopTheServer() {
        if (server != null) {
            server.close();
        }
    }
}
