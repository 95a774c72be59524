package dev.lockstep.nbd.client;

/// The server is nbdkit, which refuses whatever is not whole blocks of 512 bytes, or longer than 16
/// KiB.
class NbdkitBlocksContractTest extends RemoteContract {
    @Override
    Served serve(int size) throws Exception {
        return Served.by(
                PeerServer.nbdkit(
                        folder,
                        "--filter=blocksize-policy",
                        "memory",
                        Integer.toString(size),
                        "blocksize-minimum=512",
                        "blocksize-preferred=4096",
                        "blocksize-maximum=16384",
                        "blocksize-error-policy=error"));
    }
}
