package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.colo.machine.State;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.qmp.Json;
import dev.lockstep.qmp.QmpClient;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/// The whole story of a pair, with a model of its disk beside it: what has to be on the surviving
/// disk in the end, byte by byte.
final class Demo {
    static final long SIZE_DEFAULT_BYTES = 32L << 20;
    static final long SIZE_MIN_BYTES = 16L << 20;
    static final long SIZE_MAX_BYTES = 1L << 30;

    private static final String NAME = "vm1";
    private static final int WRITES = 64;
    private static final int WRITE_BYTES_MAX = 128 << 10;
    private static final int CHUNK_BYTES = 1 << 20;
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration STATE_TIMEOUT = Duration.ofSeconds(60);
    private static final long POLL_NANOS = 50_000_000L;

    /// The same story every time.
    private static final long SEED = 20_250_916L;

    private final DemoStage stage;
    private final Random random = new Random(SEED);
    private final byte[] model;
    private final String target;
    private final String secondaryMonitor;
    private final String primaryMonitor;

    Demo(DemoStage stage, int sizeBytes) throws IOException {
        this.stage = stage;
        this.model = new byte[sizeBytes];
        try (ServerSocket one = listener();
                ServerSocket other = listener()) {
            this.target = "127.0.0.1:" + one.getLocalPort();
            this.secondaryMonitor = "127.0.0.1:" + other.getLocalPort();
        }
        this.primaryMonitor = "unix:" + stage.file("p.mon");
    }

    void run() throws IOException, InterruptedException {
        makeDisks();
        DemoStage.Started secondary = startSecondary();
        DemoStage.Started primary = startPrimary();
        awaitState(primaryMonitor, State.RUNNING);
        stage.say("the pair is in step");

        int written = write(primary, model);
        stage.say(
                "the primary's guest wrote %d bytes and flushed: they are on both disks"
                        .formatted(written));
        stage.run("colo", "checkpoint", "--monitor", primaryMonitor);
        int lost = write(primary, model.clone());
        stage.say("the primary's guest wrote %d bytes more, after the checkpoint".formatted(lost));
        int kept = write(secondary, model);
        stage.say("the secondary's guest wrote %d bytes, on top of the checkpoint".formatted(kept));

        stage.say(
                "$ kill -9 %d   # the primary's host is struck by lightning"
                        .formatted(primary.server().pid()));
        primary.server().kill();
        stage.run("colo", "failover", "--monitor", secondaryMonitor);
        verifyServed(secondary);
        awaitState(secondaryMonitor, State.DEGRADED);
        stage.say("the buffers are committed: the disk alone holds everything");
        int alone = write(secondary, model);
        stage.say("the new primary's guest wrote %d bytes".formatted(alone));
        stage.run("colo", "status", "--monitor", secondaryMonitor);
        stage.say("$ kill %d   # SIGTERM".formatted(secondary.server().pid()));
        secondary.server().terminate();
        verifyFile();
        stage.say("done: nothing was lost that was promised, nothing was kept that was not");
    }

    private void makeDisks() throws IOException {
        random.nextBytes(model);
        // A third of it is a hole, as on any disk.
        Arrays.fill(model, model.length / 3, 2 * (model.length / 3), (byte) 0);
        Files.write(stage.file("P.raw"), model);
        Files.write(stage.file("S.raw"), new byte[model.length]);
        stage.say(
                "two disks of %d bytes: %s holds data, %s nothing"
                        .formatted(model.length, stage.file("P.raw"), stage.file("S.raw")));
    }

    private DemoStage.Started startSecondary() throws IOException, InterruptedException {
        return stage.start(
                "colo",
                "secondary",
                "--name",
                NAME,
                "--disk",
                stage.file("S.raw").toString(),
                "-f",
                "raw",
                "--buffers",
                stage.file("buffers").toString(),
                "--listen",
                target,
                "--export",
                "unix:" + stage.file("s.sock"),
                "--monitor",
                secondaryMonitor);
    }

    private DemoStage.Started startPrimary() throws IOException, InterruptedException {
        return stage.start(
                "colo",
                "primary",
                "--name",
                NAME,
                "--disk",
                stage.file("P.raw").toString(),
                "-f",
                "raw",
                "--secondary",
                "nbd://" + target + "/" + NAME,
                "--secondary-monitor",
                secondaryMonitor,
                "--export",
                "unix:" + stage.file("p.sock"),
                "--monitor",
                primaryMonitor,
                "--sync",
                "full");
    }

    /// Writes random bytes at random places through a guest's export, flushes, and does the same to
    /// an image of the disk.
    ///
    /// @return how many bytes were written
    private int write(DemoStage.Started side, byte[] image) throws BlockException {
        int total = 0;
        try (RemoteDevice guest = open(side)) {
            for (int count = 0; count < WRITES; count++) {
                byte[] bytes = new byte[1 + random.nextInt(WRITE_BYTES_MAX)];
                int offset = random.nextInt(image.length - bytes.length);
                random.nextBytes(bytes);
                guest.write(offset, ByteBuffer.wrap(bytes), Set.of());
                System.arraycopy(bytes, 0, image, offset, bytes.length);
                total += bytes.length;
            }
            guest.flush();
        }
        return total;
    }

    private void verifyServed(DemoStage.Started side) throws IOException {
        try (RemoteDevice guest = open(side)) {
            byte[] bytes = new byte[CHUNK_BYTES];
            for (int offset = 0; offset < model.length; offset += CHUNK_BYTES) {
                int length = Math.min(CHUNK_BYTES, model.length - offset);
                guest.read(offset, ByteBuffer.wrap(bytes, 0, length));
                verify("what the secondary's guest sees", offset, bytes, length);
            }
        }
        stage.say("all %d bytes that the promoted side serves are right".formatted(model.length));
    }

    private void verifyFile() throws IOException {
        Path disk = stage.file("S.raw");
        verify("the disk file", 0, Files.readAllBytes(disk), model.length);
        stage.say("all %d bytes of %s are right".formatted(model.length, disk));
    }

    private void verify(String what, int offset, byte[] bytes, int length) throws IOException {
        int wrong = Arrays.mismatch(model, offset, offset + length, bytes, 0, length);
        if (wrong >= 0) {
            throw new IOException(
                    "%s is wrong at byte %d: 0x%02x where 0x%02x has to be"
                            .formatted(
                                    what,
                                    offset + wrong,
                                    bytes[wrong] & 0xff,
                                    model[offset + wrong] & 0xff));
        }
    }

    private static RemoteDevice open(DemoStage.Started side) throws BlockException {
        return RemoteDevice.open(RemoteOptions.of(NbdUri.parse(side.uri())));
    }

    private void awaitState(String monitor, State wanted) throws IOException, InterruptedException {
        long deadline = System.nanoTime() + STATE_TIMEOUT.toNanos();
        try (QmpClient client =
                QmpClient.connect(
                        Address.parse(monitor), CONNECT_TIMEOUT, new QmpClient.Listener() {})) {
            String state = "";
            while (!state.equals(wanted.label())) {
                if (System.nanoTime() > deadline) {
                    throw new IOException(
                            "the side at %s is still %s, not %s"
                                    .formatted(monitor, state, wanted.label()));
                }
                // Nothing announces a state: it is asked for twenty times a second.
                LockSupport.parkNanos(POLL_NANOS);
                state =
                        client.execute("colo-status", Json.object(), CONNECT_TIMEOUT)
                                .path("state")
                                .asText();
            }
        }
    }

    /// On a free port. Two ports are sure to be different ones only if both are taken at a time.
    private static ServerSocket listener() throws IOException {
        return new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    }
}
