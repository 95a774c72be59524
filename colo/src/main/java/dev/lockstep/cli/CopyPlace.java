package dev.lockstep.cli;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.NullDevice;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.LaunchedServer;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteOptions;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/// Where bytes are copied from or to, as it is written on the command line.
sealed interface CopyPlace {
    /// An export of an NBD server.
    record Remote(NbdUri uri) implements CopyPlace {}

    /// The default export of a server that is started for it.
    record Started(List<String> command) implements CopyPlace {}

    /// A regular file, which may not exist yet, or a block device.
    record Local(Path path) implements CopyPlace {}

    /// Standard input or output, or a file without positions: a pipe, a terminal.
    ///
    /// @param path `-` for standard input or output
    record Stream(Path path) implements CopyPlace {
        boolean isStandard() {
            return path.toString().equals(STANDARD);
        }
    }

    /// Nowhere: what is written is forgotten.
    record Nowhere() implements CopyPlace {}

    /// The name of standard input and output.
    String STANDARD = "-";

    /// How long a server may be silent: whoever copies has time, and a disk may have to wake up.
    Duration REQUEST_DEADLINE = Duration.ofMinutes(2);

    /// A place that is open.
    ///
    /// @param server that was started for it, or null
    /// @param length in bytes, where the device's size is rounded up
    record Opened(BlockDevice device, Gate gate, long length, @Nullable LaunchedServer server)
            implements AutoCloseable {
        static Opened of(BlockDevice device, long length) {
            return new Opened(device, new Gate(device), length, null);
        }

        @Override
        public void close() throws IOException {
            try (server) {
                device.close();
            }
        }
    }

    /// Understands a place.
    static CopyPlace parse(String text) throws IOException {
        if (text.equals(STANDARD)) {
            return new Stream(Path.of(STANDARD));
        }
        if (text.equals("null:")) {
            return new Nowhere();
        }
        ServerPlace.Started started = ServerPlace.started(text);
        if (started != null) {
            return new Started(started.command());
        }
        if (text.matches("(?i)nbds?(\\+[a-z]+)?:.*")) {
            try {
                return new Remote(NbdUri.parse(text));
            } catch (IllegalArgumentException e) {
                throw new UsageError(String.valueOf(e.getMessage()));
            }
        }
        Path path = Path.of(text);
        boolean positioned =
                !Files.exists(path)
                        || Files.isRegularFile(path)
                        || Files.isDirectory(path)
                        || isBlockDevice(path);
        return positioned ? new Local(path) : new Stream(path);
    }

    /// Opens it for reading.
    static Opened openSource(CopyPlace place, int connections) throws IOException {
        return switch (place) {
            case Remote(NbdUri uri) -> connect(uri, connections);
            case Started(List<String> command) -> start(command, connections);
            case Local(Path path) -> {
                FileDevice file = FileDevice.open(FileOptions.of(path).asReadOnly());
                yield Opened.of(file, exactLength(path, file));
            }
            case Stream _, Nowhere _ -> throw new UsageError("that can be no source");
        };
    }

    /// Opens it for writing `length` bytes. A regular file is made, or made so long, first.
    static Opened openTarget(CopyPlace place, int connections, long length) throws IOException {
        return switch (place) {
            case Remote(NbdUri uri) -> connect(uri, connections);
            case Started(List<String> command) -> start(command, connections);
            case Local(Path path) -> {
                if (!isBlockDevice(path)) {
                    makeEmpty(path, length);
                }
                FileDevice file = FileDevice.open(FileOptions.of(path));
                yield Opened.of(file, exactLength(path, file));
            }
            case Nowhere _ -> Opened.of(new NullDevice(length, Duration.ZERO, true), length);
            case Stream _ -> throw new UsageError("a stream has no positions");
        };
    }

    /// Whether what was opened reads as zeroes because it is new.
    static boolean isNew(CopyPlace place) {
        return place instanceof Local(Path path) && !isBlockDevice(path);
    }

    /// Empties a regular file, or makes it. Somebody who uses it as an image is found out by its
    /// lock, before a byte is lost.
    static void makeEmpty(Path path, long length) throws IOException {
        if (Files.exists(path)) {
            FileDevice.open(FileOptions.of(path)).close();
        }
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(0);
            file.setLength(length);
        } catch (IOException e) {
            throw new IOException(
                    "cannot make the file %s with %d bytes: %s"
                            .formatted(path, length, e.getMessage()),
                    e);
        }
    }

    private static Opened connect(NbdUri uri, int connections) throws BlockException {
        RemoteOptions options =
                RemoteOptions.of(uri).withConnections(connections).withWaitersRead();
        RemoteDevice device =
                RemoteDevice.open(
                        options.withDeadlines(options.connectDeadline(), REQUEST_DEADLINE));
        return Opened.of(device, device.size());
    }

    private static Opened start(List<String> command, int connections) throws IOException {
        LaunchedServer server = LaunchedServer.start(command);
        try {
            Opened opened = connect(server.uri(), connections);
            return new Opened(opened.device(), opened.gate(), opened.length(), server);
        } catch (IOException e) {
            try (server) {
                throw server.explained(e);
            }
        }
    }

    private static long exactLength(Path path, BlockDevice device) throws IOException {
        return isBlockDevice(path) ? device.size() : Files.size(path);
    }

    private static boolean isBlockDevice(Path path) {
        try {
            int typeMask = 0170000;
            int blockDevice = 0060000;
            return ((int) Files.getAttribute(path, "unix:mode") & typeMask) == blockDevice;
        } catch (IOException _) {
            return false;
        }
    }
}
