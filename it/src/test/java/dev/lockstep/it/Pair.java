package dev.lockstep.it;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The two sides of a pair called `vm1` in one folder, joined by a [Link] for the writes and one
/// for the monitor, so that the cable between the hosts can be cut.
final class Pair implements AutoCloseable {
    static final String NAME = "vm1";

    final Path folder;
    final Path primaryDisk;
    final Path secondaryDisk;
    private final String format;
    private final int targetPort;
    private final int monitorPort;
    final Link targetLink;
    final Link monitorLink;
    private final List<Lockstep> started = new ArrayList<>();

    /// Two empty raw disks of the same size; nothing runs yet.
    Pair(Path folder, long size) {
        this(folder, size, "raw");
    }

    /// The same with disks of some format.
    Pair(Path folder, long size, String format) {
        this.folder = folder;
        // Both are taken at a time, so that they are different.
        try (ServerSocket target = listener();
                ServerSocket monitor = listener()) {
            targetPort = target.getLocalPort();
            monitorPort = monitor.getLocalPort();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        targetLink = new Link(targetPort);
        monitorLink = new Link(monitorPort);
        this.format = format;
        primaryDisk = disk(folder.resolve("P." + format), size);
        secondaryDisk = disk(folder.resolve("S." + format), size);
    }

    Lockstep startSecondary(String... more) {
        return start(Map.of(), secondaryCommand(more));
    }

    /// The command line of the secondary, with its buffers in RAM unless `more` says otherwise.
    String[] secondaryCommand(String... more) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "colo",
                                "secondary",
                                "--name",
                                NAME,
                                "--disk",
                                secondaryDisk.toString(),
                                "-f",
                                format,
                                "--listen",
                                "127.0.0.1:" + targetPort,
                                "--export",
                                "unix:" + folder.resolve("s.sock"),
                                "--monitor",
                                secondaryMonitor()));
        command.addAll(List.of("--buffers", "ram"));
        return replaced(command, more);
    }

    Lockstep startPrimary(String... more) {
        return startPrimary(Map.of(), more);
    }

    /// The same with more environment variables.
    Lockstep startPrimary(Map<String, String> environment, String... more) {
        return start(environment, primaryCommand(more));
    }

    String[] primaryCommand(String... more) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "colo",
                                "primary",
                                "--name",
                                NAME,
                                "--disk",
                                primaryDisk.toString(),
                                "-f",
                                format,
                                "--secondary",
                                secondaryUri(),
                                "--secondary-monitor",
                                "127.0.0.1:" + monitorLink.port(),
                                "--export",
                                "unix:" + folder.resolve("p.sock"),
                                "--monitor",
                                primaryMonitor()));
        return replaced(command, more);
    }

    /// A command with more options, or with other values for those that it has.
    private static String[] replaced(List<String> command, String... more) {
        for (String option : more) {
            int index = command.indexOf(option);
            if (option.startsWith("--") && index >= 0) {
                command.subList(index, index + 2).clear();
            }
        }
        command.addAll(List.of(more));
        return command.toArray(String[]::new);
    }

    String secondaryUri() {
        return "nbd://127.0.0.1:" + targetLink.port() + "/" + NAME;
    }

    String primaryMonitor() {
        return "unix:" + folder.resolve("p.mon");
    }

    /// The secondary's monitor as its operator reaches it, past the link.
    String secondaryMonitor() {
        return "127.0.0.1:" + monitorPort;
    }

    JsonNode primaryStatus() {
        return status(primaryMonitor());
    }

    JsonNode secondaryStatus() {
        return status(secondaryMonitor());
    }

    /// Asks a side for its status.
    static JsonNode status(String monitor) {
        try (Monitor asked = new Monitor(monitor)) {
            return asked.execute("colo-status", "{}");
        }
    }

    /// Asks the primary for a checkpoint, which has to succeed.
    void checkpoint() {
        try (Monitor monitor = new Monitor(primaryMonitor())) {
            monitor.execute("colo-checkpoint-now", "{}");
        }
    }

    Peer.Result failover(String... more) {
        List<String> command =
                new ArrayList<>(List.of("colo", "failover", "--monitor", secondaryMonitor()));
        command.addAll(List.of(more));
        return Lockstep.run(command.toArray(String[]::new));
    }

    /// Asks the primary, which lost its secondary, to pair with it anew.
    Peer.Result resync() {
        return Lockstep.run(
                "colo",
                "resync",
                "--secondary",
                secondaryUri(),
                "--secondary-monitor",
                "127.0.0.1:" + monitorLink.port(),
                "--monitor",
                primaryMonitor());
    }

    /// The port that the secondary listens on for its primary's writes.
    int targetPort() {
        return targetPort;
    }

    /// Returns once a side is in a state.
    static void awaitState(String monitor, String state) {
        await().atMost(Duration.ofSeconds(30))
                .pollInterval(Duration.ofMillis(20))
                .untilAsserted(
                        () -> {
                            JsonNode status = status(monitor);
                            assertEquals(state, status.get("state").asText(), status::toString);
                        });
    }

    /// Pulls the plug of the cable between the hosts.
    void cutLink() {
        targetLink.cut();
        monitorLink.cut();
    }

    /// Puts the plug back.
    void joinLink() {
        targetLink.join();
        monitorLink.join();
    }

    @Override
    public void close() {
        started.forEach(Lockstep::close);
        targetLink.close();
        monitorLink.close();
    }

    private Lockstep start(Map<String, String> environment, String... command) {
        Lockstep side = Lockstep.start(environment, command);
        started.add(side);
        return side;
    }

    private static Path disk(Path file, long size) {
        if (file.toString().endsWith(".qcow2")) {
            Peer.run("qemu-img", "create", "-q", "-f", "qcow2", file.toString(), "" + size)
                    .expectSuccess();
            return file;
        }
        try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
            disk.setLength(size);
            return file;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static ServerSocket listener() throws IOException {
        return new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    }
}
