package dev.lockstep.block.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.crash.RecordingDevice;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.Qcow2Options;
import dev.lockstep.block.qcow2.create.CreateOptions;
import dev.lockstep.block.qcow2.create.Qcow2Creator;
import dev.lockstep.block.qed.QedCreator;
import dev.lockstep.block.qed.QedDevice;
import dev.lockstep.block.raw.RawDevice;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;

/// A power cut in the middle of a commit or a rebase changes nothing that a guest sees at the top.
///
/// The image at the top and two that may lie below it are parts of one recorded disk, so that any
/// of their sectors may be lost together.
class JobCrashTest {
    private static final int SIZE = 192 << 10;
    private static final int STATES_MAX = 60;
    private static final String OLD = "old.raw";
    private static final String NEW = "the-new-one-whose-name-is-longer.raw";

    /// The top is the last part: what is behind it is its own to grow into.
    private record Disk(RecordingDevice device, boolean qed) {
        Gate below(String name) throws BlockException {
            int start = name.equals(OLD) ? 0 : SIZE;
            return new Gate(RawDevice.window(new Gate(device), start, SIZE));
        }

        Gate file() {
            return new Gate(new Tail(device, 2L * SIZE));
        }

        BlockDevice top() throws BlockException {
            String name =
                    qed
                            ? QedDevice.header(file()).backingFile()
                            : Qcow2Device.header(file()).backingFile();
            @Nullable Gate below = name == null ? null : below(name);
            return qed
                    ? QedDevice.open(file(), below, false)
                    : Qcow2Device.open(file(), below, null, Qcow2Options.DEFAULTS, false);
        }

        byte[] guest() throws BlockException {
            BlockDevice top = top();
            byte[] bytes = DiskModel.read(top, 0, SIZE);
            top.close();
            return bytes;
        }
    }

    /// Two noisy raw disks, and an image above the first with a few writes of its own, durable.
    private static Disk disk(boolean qed, Random random) throws BlockException {
        byte[] bytes = new byte[2 * SIZE];
        random.nextBytes(bytes);
        for (int at = 0; at < 2 * SIZE; at += 8192) {
            if (random.nextInt(3) == 0) {
                Arrays.fill(bytes, at, at + 8192, (byte) 0);
            }
        }
        Disk made = new Disk(new RecordingDevice(bytes), qed);
        create(made);
        BlockDevice top = made.top();
        Gate gate = new Gate(top);
        for (int count = 0; count < 6; count++) {
            int offset = random.nextInt(SIZE / 512 - 40) * 512;
            int length = (1 + random.nextInt(40)) * 512;
            if (random.nextInt(3) == 0) {
                gate.zero(offset, length, WriteFlag.UNMAP);
            } else {
                byte[] some = BlockDeviceContract.randomBytes(random, length);
                gate.write(offset, ByteBuffer.wrap(some), WriteFlag.NONE);
            }
        }
        gate.flush();
        top.close();
        return new Disk(new RecordingDevice(made.device().contents()), qed);
    }

    private static void create(Disk disk) throws BlockException {
        if (disk.qed()) {
            QedCreator.create(
                    disk.file(),
                    new dev.lockstep.block.qed.CreateOptions(SIZE, 4096, 2, OLD, "raw"));
            return;
        }
        CreateOptions usual = CreateOptions.of(SIZE);
        Qcow2Creator.create(
                disk.file(),
                null,
                new CreateOptions(
                        SIZE,
                        3,
                        4096,
                        usual.refcountBits(),
                        OLD,
                        "raw",
                        false,
                        false,
                        usual.compressionType(),
                        null,
                        false,
                        usual.preallocation()));
    }

    private static void judge(Disk disk, byte[] guest, Random random) throws Exception {
        long states =
                new CrashStates(disk.device())
                        .judgeEach(
                                random,
                                STATES_MAX,
                                state ->
                                        assertArrayEquals(
                                                guest,
                                                new Disk(
                                                                new RecordingDevice(
                                                                        state.contents()),
                                                                disk.qed())
                                                        .guest(),
                                                state.choice()));
        assertTrue(states > 20, () -> states + " states");
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_commit_that_was_cut_short_leaves_the_top_as_it_was(boolean qed) throws Exception {
        Random random = new Random(Seeds.next("JobCrashTest"));
        for (int round = 0; round < 3; round++) {
            Disk disk = disk(qed, random);
            byte[] guest = disk.guest();
            BlockDevice top = disk.top();
            new CommitJob(new Gate(top), 1, disk.below(OLD)).run();
            ((Layer) top).makeEmpty();
            top.close();
            assertArrayEquals(guest, DiskModel.read(disk.below(OLD), 0, SIZE), "the base");
            judge(disk, guest, random);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_rebase_that_was_cut_short_leaves_the_guests_bytes(boolean qed) throws Exception {
        Random random = new Random(Seeds.next("JobCrashTest"));
        for (int round = 0; round < 3; round++) {
            Disk disk = disk(qed, random);
            byte[] guest = disk.guest();
            BlockDevice top = disk.top();
            new RebaseJob(new Gate(top), disk.below(NEW)).run();
            ((Layer) top).changeBacking(NEW, "raw");
            top.close();
            assertEquals(
                    NEW,
                    qed
                            ? QedDevice.header(disk.file()).backingFile()
                            : Qcow2Device.header(disk.file()).backingFile());
            judge(disk, guest, random);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_job_that_was_cancelled_says_so_and_changes_nothing_at_the_top(boolean qed)
            throws Exception {
        Random random = new Random(Seeds.next("JobCrashTest"));
        Disk disk = disk(qed, random);
        byte[] guest = disk.guest();
        BlockDevice top = disk.top();
        Job job = new CommitJob(new Gate(top), 1, disk.below(OLD));
        job.cancel(new BlockException(Kind.GONE, "it was interrupted"));
        BlockException told = assertThrows(BlockException.class, job::run);
        assertEquals("it was interrupted", told.getMessage());
        top.close();
        assertArrayEquals(guest, disk.guest());
    }
}
