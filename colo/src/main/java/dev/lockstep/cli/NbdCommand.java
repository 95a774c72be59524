package dev.lockstep.cli;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.filter.probe.ImageFormat;
import dev.lockstep.block.filter.probe.ProbedDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.NbdServer;
import dev.lockstep.nbd.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.function.Supplier;

/// `lockstep nbd`.
@Command(
        name = "nbd",
        description = {
            "Serve a disk image or a block device over NBD, with qemu-nbd's options and defaults.",
            "",
            "Once it listens it prints one line on standard output, 'ready: URI'. It ends when its"
                    + " last client has left, or with -t when it is told to: SIGTERM and SIGINT"
                    + " answer what is in flight, flush, and end it with status 0.",
            "",
            "A write is durable once a later flush has been answered, with --cache=writethrough or"
                    + " directsync once it has been answered itself, with unsafe never. The image is"
                    + " locked as QEMU locks it, so nothing else that keeps to these locks writes to"
                    + " it meanwhile."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep nbd -f raw disk.raw                       one client, on TCP port 10809",
            "  lockstep nbd -f raw -t -e 0 -k /tmp/d.sock d.raw   many clients, until it is stopped",
            "  lockstep nbd -f raw -r -t -x data -b 127.0.0.1 -p 0 /dev/vdb",
            "  lockstep nbd -f raw --degrade no-structured,no-zeroes d.raw    as an old server",
            "  lockstep nbd -f raw --fault write@1M+64k,nth=3,error=EIO d.raw",
            "  lockstep nbd -f raw -t --fault any,p=0.01,seed=7,drop d.raw    lost connections"
        })
final class NbdCommand implements Callable<Integer> {
    private static final int PORT_DEFAULT = 10809;

    /// What `--discard` can say, in both of qemu-nbd's wordings.
    private enum Discard {
        IGNORE(FileOptions.Discard.IGNORE),
        OFF(FileOptions.Discard.IGNORE),
        UNMAP(FileOptions.Discard.UNMAP),
        ON(FileOptions.Discard.UNMAP);

        private final FileOptions.Discard meaning;

        Discard(FileOptions.Discard meaning) {
            this.meaning = meaning;
        }
    }

    /// Where and to whom.
    private static final class Listening {
        @Option(
                names = {"-k", "--socket"},
                paramLabel = "SOCKET",
                description = "Listen on this unix socket instead of on TCP.")
        private @Nullable Path socket;

        @Option(
                names = {"-b", "--bind"},
                paramLabel = "ADDR",
                description = "Listen on this host's address. Default: " + Reachable.ANY_IPV4 + ".")
        private @Nullable String host;

        @Option(
                names = {"-p", "--port"},
                paramLabel = "PORT",
                description = "Listen on this TCP port; 0 takes a free one. Default: 10809.")
        private @Nullable Integer port;

        @Option(
                names = {"-e", "--shared"},
                paramLabel = "NUM",
                description =
                        "Let so many clients in at a time, 0 for any number; more wait. Default: 1.")
        private int shared = 1;

        @Option(
                names = {"-t", "--persistent"},
                description = "Go on when the last client has left.")
        private boolean persistent;

        private Address address() {
            if (socket == null) {
                return new Address.Tcp(
                        host == null ? Reachable.ANY_IPV4 : host,
                        port == null ? PORT_DEFAULT : port);
            }
            if (host != null || port != null) {
                throw new UsageError(
                        "-k takes a unix socket, -b and -p TCP: give one or the other");
            }
            return new Address.Unix(socket);
        }

        private ServerOptions options() {
            if (shared < 0) {
                throw new UsageError("-e %d is less than no client".formatted(shared));
            }
            return ServerOptions.DEFAULT
                    .withSpin(ServerOptions.SPIN_ALONE)
                    .withMaxConnections(shared == 0 ? ServerOptions.CONNECTIONS_DEFAULT : shared);
        }
    }

    @Mixin private Listening listening = new Listening();
    @Mixin private ClientTesting clientTesting = new ClientTesting();

    @Option(
            names = {"-f", "--format"},
            paramLabel = "FMT",
            description =
                    "The image's format; raw is the only one so far. Default: found out by looking,"
                            + " with a warning.")
    private @Nullable String format;

    @Option(
            names = {"-x", "--export-name"},
            paramLabel = "NAME",
            description = "The export's name. Default: the empty one.")
    private String name = "";

    @Option(
            names = {"-D", "--description"},
            paramLabel = "TEXT",
            description = "Words for people who list the exports.")
    private String description = "";

    @Option(
            names = {"-r", "--read-only"},
            description = "Refuse all writing.")
    private boolean readOnly;

    @Option(
            names = "--cache",
            paramLabel = "MODE",
            description =
                    "writeback (the default), none (past the page cache), writethrough, directsync"
                            + " or unsafe.")
    private CacheMode cache = CacheMode.WRITEBACK;

    @Option(
            names = {"-n", "--nocache"},
            description = "The same as --cache=none.")
    private boolean noCache;

    @Option(
            names = "--discard",
            paramLabel = "MODE",
            description =
                    "What becomes of a client's trim: unmap (or on) releases the space, ignore (or"
                            + " off, the default) does nothing.")
    private Discard discard = Discard.IGNORE;

    @Option(
            names = "--pid-file",
            paramLabel = "FILE",
            description = "Write the process id there once it listens.")
    private @Nullable Path pidFile;

    @Parameters(paramLabel = "FILE", description = "The image: a regular file or a block device.")
    @SuppressWarnings("NullAway.Init")
    private Path file;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (format != null && !format.equals("raw")) {
            throw new UsageError("the format '%s' is not supported yet: raw is".formatted(format));
        }
        Address address = checked(listening::address);
        ServerOptions options = clientTesting.applyTo(listening.options());
        return ServerProcess.run(spec.qualifiedName(), () -> start(address, options));
    }

    private ServerProcess.Server start(Address address, ServerOptions options) throws IOException {
        FileDevice image = FileDevice.open(fileOptions());
        Gate root = root(image);
        Export export = checked(() -> new Export(name, description, root));
        NbdServer server = NbdServer.start(Exports.of(export), options);
        clientTesting.inject(server);
        Address bound = server.listen(address);
        if (pidFile != null) {
            Files.writeString(pidFile, ProcessHandle.current().pid() + "\n");
        }
        return new ServerProcess.Server(
                new NbdUri(Reachable.from(bound), name).format(),
                () -> awaitEnd(server),
                () -> close(server, root, image));
    }

    private FileOptions fileOptions() {
        CacheMode mode = noCache ? CacheMode.NONE : cache;
        FileOptions options = FileOptions.of(file).with(mode).with(discard.meaning);
        return readOnly ? options.asReadOnly() : options;
    }

    /// The image behind the gate that the clients go through; guarded if its format is a guess.
    private Gate root(FileDevice image) throws IOException {
        BlockDevice device = image;
        if (format == null) {
            Gate probed = new Gate(image);
            refuseOtherThanRaw(probed);
            System.err.printf(
                    "%s: nobody said which format %s has, and it looks raw; a guess is dangerous,"
                            + " so what would make its first sector look like another format's is"
                            + " refused: say -f raw to lift that%n",
                    spec.qualifiedName(), file);
            device = new ProbedDevice(probed);
        }
        return readOnly ? Gate.readOnly(device) : new Gate(device);
    }

    private void refuseOtherThanRaw(Gate probed) throws IOException {
        byte[] head = new byte[(int) Math.min(ImageFormat.PROBE_BYTES, probed.size())];
        probed.read(0, ByteBuffer.wrap(head));
        ImageFormat found = ImageFormat.of(head);
        if (found != ImageFormat.RAW) {
            throw new IOException(
                    ("%s is a %s image, which is not supported yet: convert it with 'qemu-img"
                                    + " convert -O raw', or say -f raw to serve its bytes as they"
                                    + " are")
                            .formatted(file, found.label()));
        }
    }

    private void awaitEnd(NbdServer server) throws InterruptedException {
        if (listening.persistent) {
            new CountDownLatch(1).await();
        }
        server.awaitLastClient();
    }

    private void close(NbdServer server, Gate root, FileDevice image) throws IOException {
        server.close();
        try {
            if (!readOnly) {
                root.flush();
            }
        } finally {
            image.close();
            if (pidFile != null) {
                Files.deleteIfExists(pidFile);
            }
        }
    }

    private static <T> T checked(Supplier<T> making) {
        try {
            return making.get();
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }
}
