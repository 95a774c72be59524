package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Role;
import dev.lockstep.colo.machine.Standing;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/// All that a secondary has on stable storage: its disk, its record and the files of its durable
/// buffers. They lose power together, and each by itself loses what was not synced of it.
final class CrashingHost {
    private static final List<String> NAMES =
            List.of(
                    "a.hidden.map",
                    "a.hidden.data",
                    "a.active.map",
                    "a.active.data",
                    "b.hidden.map",
                    "b.hidden.data",
                    "b.active.map",
                    "b.active.data");

    private static final Nonce GENERATION = new Nonce(7, 7);
    private static final Nonce NEXT_GENERATION = new Nonce(8, 8);

    private final RecordingDevice record;
    private final RecordingDevice disk;
    private final List<RecordingDevice> buffers = new ArrayList<>();

    /// Hosts begin with the files that a crash left.
    private CrashingHost(List<byte[]> files) {
        record = new RecordingDevice(files.getFirst());
        disk = record.beside(files.get(1));
        for (byte[] each : files.subList(2, files.size())) {
            buffers.add(record.beside(each));
        }
    }

    /// A host that was never a secondary.
    static CrashingHost fresh(byte[] disk) {
        List<byte[]> files = new ArrayList<>();
        files.add(new byte[RecordingDevice.SECTOR_BYTES]);
        files.add(disk);
        NAMES.forEach(_ -> files.add(new byte[0]));
        return new CrashingHost(files);
    }

    static CrashingHost after(CrashStates.State crash) {
        return new CrashingHost(crash.files());
    }

    /// What a crash of this host may leave.
    CrashStates crashes() {
        List<RecordingDevice> all = new ArrayList<>(List.of(record, disk));
        all.addAll(buffers);
        return new CrashStates(all.toArray(RecordingDevice[]::new));
    }

    long tick() {
        return record.tick();
    }

    BlockDevice disk() {
        return disk;
    }

    byte[] diskContents() {
        return disk.contents();
    }

    /// Stores a record: its standing and its epoch, as a sector.
    void store(Standing standing, long epoch) throws BlockException {
        ByteBuffer sector = ByteBuffer.allocate(RecordingDevice.SECTOR_BYTES);
        sector.put((byte) standing.name().length());
        sector.put(standing.name().getBytes(StandardCharsets.US_ASCII));
        sector.put((byte) epoch);
        Gate gate = new Gate(record);
        gate.write(0, sector.clear(), WriteFlag.NONE);
        gate.flush();
    }

    /// The record that is there.
    Optional<DurableRecord> record() {
        byte[] sector = record.contents();
        int length = sector[0];
        if (length == 0) {
            return Optional.empty();
        }
        Standing standing =
                Standing.valueOf(new String(sector, 1, length, StandardCharsets.US_ASCII));
        Identity identity = checkpoint(sector[1 + length]);
        boolean promoted = standing.role() == Role.PRIMARY;
        return Optional.of(
                new DurableRecord(
                        standing,
                        promoted ? identity.branch(NEXT_GENERATION) : identity,
                        true,
                        false));
    }

    static Identity checkpoint(long epoch) {
        return Identity.first(GENERATION).at(epoch);
    }

    /// Whether the files of the buffers take no space.
    boolean hasNothingBuffered() {
        for (int index = 0; index < NAMES.size(); index++) {
            ByteBuffer contents = ByteBuffer.wrap(buffers.get(index).contents());
            if (NAMES.get(index).endsWith("data") && !Zeroes.fill(contents)) {
                return false;
            }
        }
        return true;
    }

    DurableBuffers openBuffers() throws BlockException {
        return DurableBuffers.open(
                new DurableBuffers.Files() {
                    @Override
                    public BlockDevice open(String name) {
                        return Objects.requireNonNull(buffers.get(NAMES.indexOf(name)));
                    }

                    @Override
                    public void close() {}
                });
    }
}
