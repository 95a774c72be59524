package dev.lockstep.nbd.junit;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.InjectedFault;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.nbd.server.ServerFault;
import dev.lockstep.nbd.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The server of one test, with its disks. See [NbdServerExtension].
public final class TestServer {
    private final NbdServer server;
    private final Map<String, BlockDevice> disks;
    private final boolean forgiving;
    private final @Nullable Path folder;
    private final Address address;

    private TestServer(
            NbdServer server,
            Map<String, BlockDevice> disks,
            boolean forgiving,
            @Nullable Path folder)
            throws IOException {
        this.server = server;
        this.disks = disks;
        this.forgiving = forgiving;
        this.folder = folder;
        this.address =
                server.listen(
                        folder == null
                                ? Address.loopback()
                                : new Address.Unix(folder.resolve("nbd.sock")));
    }

    static TestServer start(NbdServerExtension.Setup setup) throws Exception {
        Map<String, BlockDevice> disks = new LinkedHashMap<>();
        for (Map.Entry<String, NbdServerExtension.Disk> each : setup.disks().entrySet()) {
            disks.put(each.getKey(), each.getValue().open());
        }
        Export[] exports =
                disks.entrySet().stream()
                        .map(each -> new Export(each.getKey(), new Gate(each.getValue())))
                        .toArray(Export[]::new);
        NbdServer server =
                NbdServer.start(
                        Exports.of(exports), ServerOptions.DEFAULT.without(setup.degradations()));
        setup.faults().forEach(server::inject);
        Path folder = setup.unixSocket() ? Files.createTempDirectory("nbd") : null;
        return new TestServer(server, disks, setup.forgiving(), folder);
    }

    /// Where a client finds the default export. Its `toString` is what programs take.
    public NbdUri uri() {
        return uri("");
    }

    /// Where a client finds an export.
    public NbdUri uri(String export) {
        return new NbdUri(address, export);
    }

    /// The server itself.
    public NbdServer server() {
        return server;
    }

    /// What lies in a disk, past the server and its faults.
    public byte[] bytes(String export, long offset, int length) throws BlockException {
        BlockDevice disk = disks.get(export);
        if (disk == null) {
            throw new IllegalArgumentException("there is no export '%s'".formatted(export));
        }
        ByteBuffer bytes = ByteBuffer.allocate(length);
        new Gate(disk).read(offset, bytes);
        return bytes.array();
    }

    /// What lies in the default export's disk, past the server and its faults.
    public byte[] bytes(long offset, int length) throws BlockException {
        return bytes("", offset, length);
    }

    /// Does something wrong from now on, as [ServerFault#parse] reads it.
    public InjectedFault inject(String fault) {
        return server.inject(ServerFault.parse(fault));
    }

    /// Closes everything.
    ///
    /// @throws AssertionError if a client broke the protocol
    void finish() throws IOException {
        server.close();
        for (BlockDevice disk : disks.values()) {
            disk.close();
        }
        if (folder != null) {
            Files.delete(folder);
        }
        List<String> complaints = server.complaints();
        if (!forgiving && !complaints.isEmpty()) {
            throw new AssertionError(
                    "a client broke the protocol:\n" + String.join("\n", complaints));
        }
    }
}
