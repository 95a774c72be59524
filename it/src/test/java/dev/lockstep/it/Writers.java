package dev.lockstep.it;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;

/// A guest whose threads write tagged and overlapping ranges as fast as they can, until it is
/// stopped or its disk fails; all of it goes into a [History].
final class Writers implements AutoCloseable {
    /// Mostly small writes, so that clusters of 64 KiB are touched in part, and some that span
    /// several.
    private static final int SECTORS_MAX = 160;

    private static final int THREADS = 3;

    final History history = new History();
    private final RemoteDevice disk;
    private final List<Thread> threads = new ArrayList<>();
    private final List<BlockException> failures = new CopyOnWriteArrayList<>();
    private volatile boolean stopped;

    Writers(String uri, Random random) {
        try {
            disk = RemoteDevice.open(RemoteOptions.of(NbdUri.parse(uri)));
        } catch (BlockException e) {
            throw new AssertionError(e);
        }
        for (int index = 0; index < THREADS; index++) {
            Random own = new Random(random.nextLong());
            threads.add(Thread.ofVirtual().start(() -> write(own)));
        }
    }

    /// What went wrong; nothing as long as the disk works.
    List<BlockException> failures() {
        return failures;
    }

    /// Ends after the writes in flight, which on a dead disk fail.
    void stop() {
        stopped = true;
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /// Makes durable what was acknowledged until now.
    void flush() throws BlockException {
        disk.flush();
    }

    @Override
    public void close() {
        stopped = true;
        disk.close();
    }

    private void write(Random random) {
        long sectors = disk.size() / History.SECTOR;
        try {
            while (!stopped) {
                int length = 1 + random.nextInt(random.nextInt(8) == 0 ? SECTORS_MAX : 16);
                long first = random.nextLong(sectors - length);
                operate(random, first * History.SECTOR, length * History.SECTOR);
            }
        } catch (BlockException e) {
            failures.add(e);
        }
    }

    private void operate(Random random, long offset, int length) throws BlockException {
        switch (random.nextInt(10)) {
            case 0 -> disk.flush();
            case 1 -> {
                History.Write zero = history.beginZero(offset, length);
                disk.zero(offset, length, random.nextBoolean() ? WriteFlag.UNMAP : WriteFlag.NONE);
                zero.acknowledged();
            }
            default -> {
                Set<WriteFlag> flags = random.nextInt(8) == 0 ? WriteFlag.DURABLE : WriteFlag.NONE;
                History.Write write = history.begin(offset, length);
                disk.write(offset, write.payload(), flags);
                write.acknowledged();
            }
        }
    }
}
