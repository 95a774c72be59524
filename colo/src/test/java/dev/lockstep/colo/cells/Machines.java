package dev.lockstep.colo.cells;

import dev.lockstep.block.BlockException;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.colo.primary.PrimaryNode;
import dev.lockstep.colo.secondary.SecondaryNode;
import dev.lockstep.colo.store.StateFile;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;

/// The two hosts of a pair in one folder: what they have stored, and the sides that run on them.
/// The primary's disk is full of ones and the secondary's of twos, so that a copy shows.
final class Machines {
    static final byte PRIMARY_BYTE = 1;
    static final byte SECONDARY_BYTE = 2;
    private static final int SIZE = 256 << 10;
    private static final int SAMPLE = 4096;

    private final Path folder;

    Machines(Path folder) throws IOException {
        this.folder = folder;
        fill("P", PRIMARY_BYTE);
        fill("S", SECONDARY_BYTE);
    }

    private void fill(String host, byte value) throws IOException {
        byte[] bytes = new byte[SIZE];
        Arrays.fill(bytes, value);
        Files.write(disk(host), bytes);
    }

    private Path disk(String host) {
        return folder.resolve(host + ".raw");
    }

    private Path state(String host) {
        return folder.resolve(host + ".state");
    }

    private Address socket(String name) {
        return new Address.Unix(folder.resolve(name));
    }

    /// Puts a record beside a host's disk.
    void store(String host, Optional<DurableRecord> record) throws IOException {
        if (record.isPresent()) {
            try (StateFile file = StateFile.open(state(host))) {
                file.store(record.get());
            }
        }
    }

    Optional<DurableRecord> stored(String host) throws IOException {
        try (StateFile file = StateFile.open(state(host))) {
            return file.record();
        }
    }

    /// `colo secondary` on a host.
    SecondaryNode secondary(String host, boolean force) throws IOException {
        return SecondaryNode.start(
                new SecondaryOptions(
                        "vm1",
                        disk(host),
                        new SecondaryOptions.Buffers.Ram(),
                        socket("target"),
                        socket("s.guest"),
                        socket("s.monitor"),
                        state(host),
                        1 << 20,
                        force,
                        false,
                        PairTls.NONE));
    }

    /// `colo primary` on a host; its secondary is the one that [#secondary] starts, if it runs.
    PrimaryNode primary(String host, SyncMode sync, boolean force)
            throws IOException, InterruptedException {
        return PrimaryNode.start(
                new PrimaryOptions(
                        "vm1",
                        disk(host),
                        new NbdUri(socket("target"), "vm1"),
                        socket("s.monitor"),
                        socket("p.guest"),
                        socket("p.monitor"),
                        state(host),
                        sync,
                        OnPeerLoss.CONTINUE,
                        Duration.ofSeconds(10),
                        Optional.empty(),
                        force,
                        false,
                        PairTls.NONE));
    }

    /// Reads as a side's guest does: the one value that its disk begins with.
    static byte guestReads(Side side) throws BlockException {
        try (RemoteDevice guest = RemoteDevice.open(RemoteOptions.of(side.guestExport()))) {
            ByteBuffer bytes = ByteBuffer.allocate(SAMPLE);
            guest.read(0, bytes);
            return bytes.get(0);
        }
    }

    /// Whether the two disks hold the same bytes.
    boolean disksEqual() throws IOException {
        return Files.mismatch(disk("P"), disk("S")) < 0;
    }
}
