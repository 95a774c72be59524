package dev.lockstep.nbd.client;

/// The server is nbdkit over memory.
class NbdkitContractTest extends RemoteContract {
    @Override
    Served serve(int size) throws Exception {
        return Served.by(PeerServer.nbdkit(folder, "memory", Integer.toString(size)));
    }
}
