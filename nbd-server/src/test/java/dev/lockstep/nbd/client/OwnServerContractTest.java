package dev.lockstep.nbd.client;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;

/// The server is our own over memory.
class OwnServerContractTest extends RemoteContract {
    @Override
    Served serve(int size) throws Exception {
        Gate memory = new Gate(new MemoryDevice(size));
        NbdServer server = NbdServer.start(Exports.of(new Export("disk", memory)));
        Address bound = server.listen(Address.parse("127.0.0.1:0"));
        return new Served(server, RemoteOptions.of(new NbdUri(bound, "disk")).withConnections(3));
    }
}
