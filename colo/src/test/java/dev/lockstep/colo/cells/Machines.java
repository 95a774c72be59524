package dev.lockstep.colo.cells;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;
import dev.lockstep.colo.PairTls;
import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.Standing;
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
import java.util.List;
import java.util.Optional;

/// The two hosts of a pair in one folder: what they have stored, and the sides that run on them.
/// The primary's disk is full of ones and the secondary's of twos, so that a copy shows; buffers
/// that an earlier process left say that the checkpoint was full of threes.
final class Machines {
    static final byte PRIMARY_BYTE = 1;
    static final byte SECONDARY_BYTE = 2;
    static final byte BUFFERED_BYTE = 3;
    private static final int SIZE = 256 << 10;
    private static final int CLUSTER = 64 << 10;
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
            try (StateFile file = StateFile.open(state(host), disk(host))) {
                file.store(record.get());
            }
        }
    }

    /// Leaves durable buffers behind for the checkpoint of a record.
    void buffer(DurableRecord record) throws IOException {
        Identity identity = record.identity();
        Nonce generation =
                record.standing() == Standing.FAILING_OVER
                        ? identity.ancestors().getFirst()
                        : identity.generation();
        MapHeader.Name name =
                new MapHeader.Name(generation.high(), generation.low(), identity.epoch());
        for (String buffer : List.of("a.active", "a.hidden")) {
            try (FileDevice map = create(buffer + ".map");
                    FileDevice data = create(buffer + ".data")) {
                Gate mapGate = new Gate(map);
                DurableStore.create(
                        mapGate, new Gate(data), MapHeader.create(SIZE, CLUSTER, "", "", "data"));
                DurableStore store = DurableStore.open(mapGate, new Gate(data));
                store.empty(name);
                Gate overlay =
                        new Gate(
                                BufferOverlay.open(
                                        buffer,
                                        new Gate(new MemoryDevice(SIZE)),
                                        store,
                                        ByteBudget.unlimited()));
                if (buffer.endsWith("hidden")) {
                    byte[] bytes = new byte[SIZE];
                    Arrays.fill(bytes, BUFFERED_BYTE);
                    overlay.write(0, ByteBuffer.wrap(bytes), WriteFlag.DURABLE);
                }
            }
        }
    }

    private FileDevice create(String name) throws IOException {
        Path buffers = Files.createDirectories(folder.resolve("buffers"));
        return FileDevice.create(FileOptions.of(buffers.resolve(name)), 0);
    }

    /// What all of a host's disk file holds, or 0 if not all of it is the same.
    byte diskHolds(String host) throws IOException {
        byte[] bytes = Files.readAllBytes(disk(host));
        for (byte each : bytes) {
            if (each != bytes[0]) {
                return 0;
            }
        }
        return bytes[0];
    }

    Optional<DurableRecord> stored(String host) throws IOException {
        try (StateFile file = StateFile.open(state(host), disk(host))) {
            return file.record();
        }
    }

    /// `colo secondary` on a host.
    SecondaryNode secondary(String host, boolean force) throws IOException {
        return secondary(host, new SecondaryOptions.Buffers.Ram(), force);
    }

    /// The same with durable buffers.
    SecondaryNode durableSecondary(String host, boolean force) throws IOException {
        return secondary(
                host, new SecondaryOptions.Buffers.Durable(folder.resolve("buffers")), force);
    }

    private SecondaryNode secondary(String host, SecondaryOptions.Buffers buffers, boolean force)
            throws IOException {
        return SecondaryNode.start(
                new SecondaryOptions(
                        "vm1",
                        disk(host),
                        "raw",
                        buffers,
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
                        "raw",
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
