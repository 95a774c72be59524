package dev.lockstep.block.qcow2;

import static dev.lockstep.block.crash.RecordingDevice.SECTOR_BYTES;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.GuestHistory;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;
import java.util.Random;
import java.util.Set;

/// What random writers do to an image, told to the guest's history.
///
/// Each of several writers keeps to stripes of its own, a few sectors long, so that they share
/// clusters but no sectors.
///
/// @param gate the way to the image
/// @param changes what is done to the image as a whole; nothing if there are several writers
/// @param clock of the disk below, which all of this is timed by
record CrashHistory(
        Recipe recipe, Gate gate, ImageChanges changes, GuestHistory guest, RecordingDevice clock) {
    private static final int STEPS = 24;
    private static final int STRIPE_BYTES = 3 * SECTOR_BYTES;

    /// Does some random operations as one of the writers.
    void run(Random random, int writer, int writers) throws BlockException {
        int steps = 3 + random.nextInt(STEPS);
        int size = (int) gate.size();
        // A few favourite places make overwrites and the reuse of freed clusters likely.
        int[] favourites = random.ints(4, 0, size).toArray();
        for (int step = 0; step < steps; step++) {
            int place =
                    random.nextInt(3) == 0
                            ? random.nextInt(size)
                            : favourites[random.nextInt(favourites.length)];
            if (changes.step(random, (Qcow2Device) gate.device(), guest, clock)) {
                size = (int) gate.remeasure();
            } else {
                step(random, Math.min(place, size - 1), writer, writers);
            }
        }
    }

    private void step(Random random, int place, int writer, int writers) throws BlockException {
        int from = 0;
        int size = (int) gate.size();
        int to = size;
        if (writers > 1) {
            int stripe = place / STRIPE_BYTES / writers * writers + writer;
            from = Math.min(stripe * STRIPE_BYTES, size - SECTOR_BYTES);
            to = Math.min(from + STRIPE_BYTES, size);
            if (from / STRIPE_BYTES % writers != writer) {
                return;
            }
        }
        int grain = grain(random, writers);
        int offset = Math.max(from, Math.min(place, to - 1) / grain * grain);
        int length =
                1 + random.nextInt(random.nextInt(4) == 0 ? 40_000 : 2 * recipe.clusterBytes());
        length = Math.min(to - offset, Math.ceilDiv(length, grain) * grain);
        switch (random.nextInt(11)) {
            case 0, 1, 2, 3 -> write(random, offset, length);
            case 4 -> zero(offset, length, WriteFlag.UNMAP);
            case 5 -> zero(offset, length, WriteFlag.NONE);
            case 6, 7 -> discard(offset, length);
            case 8 -> compressed(random, offset, writers);
            default -> flush();
        }
    }

    private int grain(Random random, int writers) {
        return switch (random.nextInt(4)) {
            case 0 -> 1;
            case 1 -> SECTOR_BYTES;
            default -> writers > 1 ? SECTOR_BYTES : recipe.clusterBytes();
        };
    }

    private void write(Random random, int offset, int length) throws BlockException {
        byte[] bytes = BlockDeviceContract.randomBytes(random, length);
        boolean fua = random.nextInt(5) == 0;
        long began = clock.tick();
        ByteBuffer source = ByteBuffer.wrap(bytes);
        if (bytes[0] % 2 == 0) {
            gate.place(offset, length);
        }
        if (fua || random.nextBoolean() || !gate.writeNow(offset, source)) {
            gate.write(offset, source, fua ? WriteFlag.DURABLE : WriteFlag.NONE);
        }
        guest.changed(began, clock.tick(), offset, bytes, fua);
    }

    /// A whole cluster, half of it noise. Several writers never have one for themselves.
    private void compressed(Random random, int place, int writers) throws BlockException {
        if (writers > 1 || recipe.external()) {
            return;
        }
        int cluster = recipe.clusterBytes();
        int offset = place / cluster * cluster;
        byte[] bytes = new byte[(int) Math.min(cluster, gate.size() - offset)];
        byte[] noise = BlockDeviceContract.randomBytes(random, bytes.length / 2);
        System.arraycopy(noise, 0, bytes, 0, noise.length);
        long began = clock.tick();
        gate.writeCompressed(offset, ByteBuffer.wrap(bytes));
        guest.changed(began, clock.tick(), offset, bytes, false);
    }

    private void zero(int offset, int length, Set<WriteFlag> flags) throws BlockException {
        long began = clock.tick();
        gate.zero(offset, length, flags);
        guest.changed(began, clock.tick(), offset, new byte[length], false);
    }

    private void discard(int from, int bytes) throws BlockException {
        int offset = from / SECTOR_BYTES * SECTOR_BYTES;
        int sectors = Math.ceilDiv(bytes, SECTOR_BYTES) * SECTOR_BYTES;
        int length = (int) Math.min(sectors, gate.size() - offset);
        long began = clock.tick();
        gate.discard(offset, length);
        long ended = clock.tick();
        byte[] found = DiskModel.read(gate, offset, length);
        byte[] below = recipe.old() ? recipe.contents(offset, length) : new byte[length];
        guest.discarded(began, ended, offset, found, below);
    }

    private void flush() throws BlockException {
        long began = clock.tick();
        gate.flush();
        guest.flushed(began, clock.tick());
    }
}
