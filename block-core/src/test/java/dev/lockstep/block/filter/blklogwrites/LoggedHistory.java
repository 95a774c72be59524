package dev.lockstep.block.filter.blklogwrites;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// What a guest does to an image whose file is logged, and what may be found in the image if the
/// power is cut after any entry of the log. Moments are told by how long the log is.
public final class LoggedHistory {
    private static final int SECTOR_BYTES = 512;

    private final Random random;
    private final Path log;
    private final int diskBytes;
    private final GuestHistory guest;
    private final List<Long> moments = new ArrayList<>();

    /// Whoever opens what a power cut leaves.
    @FunctionalInterface
    public interface Judge {
        /// Opens the file, fails if it is damaged, and returns what the guest finds.
        byte[] open(byte[] file) throws Exception;
    }

    /// A history that begins with a disk that holds `contents`.
    public LoggedHistory(Random random, Path log, byte[] contents) {
        this.random = random;
        this.log = log;
        diskBytes = contents.length;
        guest = new GuestHistory(contents);
    }

    private long tick() {
        try {
            moments.add(Files.size(log));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return moments.size();
    }

    /// Does something: a write, a zero, or now and then a flush.
    public void operate(Gate gate) throws BlockException {
        long began = tick();
        if (random.nextInt(6) == 0) {
            gate.flush();
            guest.flushed(began, tick());
            return;
        }
        int length = SECTOR_BYTES * (1 + random.nextInt(8));
        int offset = SECTOR_BYTES * random.nextInt((diskBytes - length) / SECTOR_BYTES + 1);
        byte[] bytes = new byte[length];
        if (random.nextInt(4) == 0) {
            gate.zero(offset, length, WriteFlag.UNMAP);
        } else {
            random.nextBytes(bytes);
            gate.write(offset, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        }
        guest.changed(began, tick(), offset, bytes, false);
    }

    /// Shows the judge what is left after each entry: once with all that was written, and once with
    /// each write since the last flush kept or lost by a toss.
    ///
    /// @param initial what the file held before the first entry
    /// @return how many there were
    public int judgeEach(byte[] initial, Judge judge) throws Exception {
        Replay replay = Replay.of(log);
        int judged = 0;
        for (int count = 0; count <= replay.records().size(); count++) {
            for (boolean lossy : new boolean[] {false, true}) {
                byte[] file = initial.clone();
                for (int number = 0; number < count; number++) {
                    if (!lossy || number < replay.settled(count) || random.nextBoolean()) {
                        file = replay.records().get(number).applyTo(file);
                    }
                }
                guest.checkCrashed(instant(replay, count), judge.open(file));
                judged++;
            }
        }
        return judged;
    }

    /// The last moment at which the log was no longer than this.
    private long instant(Replay replay, int count) {
        long end = count == 0 ? SECTOR_BYTES : replay.records().get(count - 1).end();
        return moments.stream().filter(length -> length <= end).count();
    }
}
