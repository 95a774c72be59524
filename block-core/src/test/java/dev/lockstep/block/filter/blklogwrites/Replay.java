package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Makes disks again from a log of writes.
///
/// @param records the log's entries
public record Replay(List<Logged> records) {
    /// An entry, in bytes.
    ///
    /// @param flags as they stand in the log
    /// @param data what was written; empty for a discard
    /// @param end where the next one begins in the log
    @SuppressWarnings("ArrayRecordComponent") // Entries are not compared.
    public record Logged(long offset, long length, long flags, byte[] data, String mark, long end) {
        /// Whether everything before it is durable with it.
        public boolean isFlush() {
            return (flags & Entry.FLUSH) != 0;
        }

        /// Whether it is durable by itself.
        public boolean isDurable() {
            return (flags & Entry.FUA) != 0;
        }

        /// Does it to a disk, which becomes longer as it must.
        public byte[] applyTo(byte[] disk) {
            int needed = (int) (offset + length);
            byte[] changed = needed > disk.length ? Arrays.copyOf(disk, needed) : disk;
            Arrays.fill(changed, (int) offset, needed, (byte) 0);
            System.arraycopy(data, 0, changed, (int) offset, data.length);
            return changed;
        }
    }

    /// Reads a log, as far as it tells that it goes.
    public static Replay of(Path path) throws BlockException {
        try (FileDevice file = FileDevice.open(FileOptions.of(path).asReadOnly())) {
            Gate log = Gate.readOnly(file);
            Superblock head = Superblock.read(log);
            List<Logged> found = new ArrayList<>();
            long at = 1;
            while (found.size() < head.entries()) {
                Entry entry = Entry.read(log, at, head.sectorBytes());
                found.add(record(log, entry, at, head.sectorBytes()));
                at += 1 + entry.dataSectors();
            }
            return new Replay(found);
        }
    }

    private static Logged record(Gate log, Entry entry, long at, int unit) throws BlockException {
        byte[] data = new byte[(int) entry.dataSectors() * unit];
        log.read((at + 1) * unit, ByteBuffer.wrap(data));
        byte[] mark = new byte[(int) entry.markBytes()];
        log.read(at * unit + 32, ByteBuffer.wrap(mark));
        return new Logged(
                entry.sector() * unit,
                entry.sectors() * unit,
                entry.flags(),
                data,
                new String(mark, StandardCharsets.UTF_8),
                (at + 1 + entry.dataSectors()) * unit);
    }

    /// How many entries come first up to and with the last flush among `count`: those that a power
    /// cut leaves for certain.
    public int settled(int count) {
        int last = count;
        while (last > 0 && !records.get(last - 1).isFlush()) {
            last--;
        }
        return last;
    }
}
