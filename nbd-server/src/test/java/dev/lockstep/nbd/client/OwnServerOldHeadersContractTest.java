package dev.lockstep.nbd.client;

import dev.lockstep.nbd.HeaderStyle;

/// The server is our own over memory, asked for the oldest headers.
class OwnServerOldHeadersContractTest extends OwnServerContractTest {
    @Override
    Served serve(int size) throws Exception {
        Served newest = super.serve(size);
        return new Served(newest.server(), newest.options().withHeaders(HeaderStyle.SIMPLE));
    }
}
