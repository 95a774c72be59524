package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.OpenImage;
import dev.lockstep.image.UserObjects;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.nbd.client.RemoteServer;
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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep nbd`.
@Command(
        name = "nbd",
        description = {
            "Serve a disk image or a block device over NBD, with qemu-nbd's options and defaults.",
            "",
            "FILE is a path, a URI (nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH, null-co://),"
                    + " json:{...}, or with --image-opts a list of options. With -L and -d there is"
                    + " no FILE but a server to ask, or a device to detach.",
            "",
            "Once it listens it prints one line on standard output, 'ready: URI', with more URIs"
                    + " behind it if it listens on more addresses; with --fork, --stdio and"
                    + " sockets that were handed in it prints nothing. It ends when its last client has left, or with -t when it"
                    + " is told to: SIGTERM and SIGINT answer what is in flight, flush, and end it"
                    + " with status 0.",
            "",
            "A write is durable once a later flush has been answered, with --cache=writethrough or"
                    + " directsync once it has been answered itself, with unsafe never. The image is"
                    + " locked as QEMU locks it, so nothing else that keeps to these locks writes to"
                    + " it meanwhile."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep nbd disk.qcow2                            one client, on TCP port 10809",
            "  lockstep nbd -f raw -t -e 0 -k /tmp/d.sock d.raw   many clients, until it is stopped",
            "  lockstep nbd -f raw -r -t -x data -b 127.0.0.1 -p 0 /dev/vdb",
            "  lockstep nbd -L -k /tmp/d.sock                     what does a server export?",
            "  nbdinfo -- [ lockstep nbd -f raw d.raw ]           a server of the client's own",
            "  lockstep nbd -f raw --degrade no-structured,no-zeroes d.raw    as an old server",
            "  lockstep nbd -f raw --fault write@1M+64k,nth=3,error=EIO d.raw",
            "  lockstep nbd -f raw -t --fault any,p=0.01,seed=7,drop d.raw    lost connections"
        })
final class NbdCommand implements Callable<Integer> {
    @Mixin private NbdListening listening = new NbdListening();

    @Option(
            names = {"-x", "--export-name"},
            paramLabel = "NAME",
            description = "The export's name. Default: the empty one.")
    private @Nullable String name;

    @Option(
            names = {"-D", "--description"},
            paramLabel = "TEXT",
            description = "Words for people who list the exports.")
    private @Nullable String description;

    @Option(
            names = {"-A", "--allocation-depth"},
            description =
                    "Tell clients how deep in a chain of images each byte lies"
                            + " (qemu:allocation-depth).")
    private boolean allocationDepth;

    @Option(
            names = "--minimum-block",
            paramLabel = "BYTES",
            description =
                    "Refuse requests that are no multiples of so many bytes, a power of two up to"
                            + " 65536. Default: 1, which takes every request.")
    private int minimumBlock = 1;

    @Option(
            names = "--resize",
            description =
                    "Let clients that know how (an extension of NBD) change the disk's size; for a"
                            + " disk with one client.")
    private boolean resize;

    @Mixin private NbdImage image = new NbdImage();

    @Mixin private ClientTesting clientTesting = new ClientTesting();

    @Mixin private NbdSecurity security = new NbdSecurity();

    @Option(
            names = "--fork",
            description =
                    "End once the server is ready, which goes on as a process of its own, silent"
                            + " unless -v is given.")
    private boolean fork;

    @Option(
            names = "--pid-file",
            paramLabel = "FILE",
            description = "Write the server's process id there once it listens.")
    private @Nullable Path pidFile;

    @Option(
            names = {"-L", "--list"},
            description =
                    "List what the server at -k, or -b and -p, exports, in qemu-nbd's layout.")
    private boolean list;

    @Option(
            names = {"-c", "--connect"},
            paramLabel = "DEV",
            description =
                    "Make FILE the kernel's device DEV, such as /dev/nbd0, and go on in the"
                            + " background until it is detached. Uses the program nbd-client.")
    private @Nullable Path device;

    @Option(
            names = {"-d", "--disconnect"},
            description = "Detach the kernel's device that is given in place of FILE.")
    private boolean detach;

    @Option(
            names = {"-T", "--trace"},
            paramLabel = "PATTERN",
            description = "Taken for the sake of scripts; -v is what shows more.")
    @SuppressWarnings("UnusedVariable")
    private List<String> trace = new ArrayList<>();

    @Option(
            names = {"-P", "--partition"},
            hidden = true,
            description = "Gone.")
    private @Nullable String partition;

    @Parameters(paramLabel = "FILE", arity = "0..1", description = "The image.")
    private @Nullable String file;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        check();
        if (list) {
            EarlyEnd.over();
            return listExports();
        }
        if (detach) {
            EarlyEnd.over();
            KernelDevice.detach(Path.of(fileOr("-d needs the device, such as /dev/nbd0")));
            return 0;
        }
        String disk = fileOr("FILE is missing: say which disk to serve");
        image.check();
        listening.check();
        if (device != null) {
            KernelDevice.check(device);
            listening.useSocket(KernelDevice.socket(device));
        }
        boolean background = fork || (device != null && !isVerbose());
        if (background && !Detached.isServer()) {
            EarlyEnd.over();
            return Detached.launch();
        }
        if (background) {
            Detached.begin();
        }
        UserObjects objects = security.objects();
        ServerOptions options =
                clientTesting.applyTo(listening.options().withTls(security.server(objects)));
        return ServerProcess.run(
                spec.qualifiedName(), () -> start(image.open(disk, objects), options, background));
    }

    private void check() {
        if (partition != null) {
            throw new UsageError(
                    "-P is gone, from qemu-nbd too: give the partition's offset and size as in"
                            + " --image-opts driver=raw,offset=1M,size=100M,file.driver=file,"
                            + "file.filename=FILE");
        }
        security.check(list);
        if (list && file != null) {
            throw new UsageError("-L asks a server: leave FILE out");
        }
        if (list && (fork || listening.isStdio() || listening.isActivated())) {
            throw new UsageError("-L asks a server and ends: there is nothing to keep running");
        }
        if (list && (isAboutExport() || image.isGiven() || device != null || detach)) {
            throw new UsageError("-L asks a server: leave the options about a disk out");
        }
        if (fork && (listening.isStdio() || listening.isActivated())) {
            throw new UsageError("--fork would lose the sockets that were handed in: leave it out");
        }
        if (device != null && listening.isStdio()) {
            throw new UsageError("-c serves the kernel, --stdio another: give one or the other");
        }
    }

    private boolean isAboutExport() {
        return name != null || description != null || allocationDepth;
    }

    private String fileOr(String complaint) {
        if (file == null) {
            throw new UsageError(complaint);
        }
        return file;
    }

    private boolean isVerbose() {
        return spec.commandLine().getParseResult().hasMatchedOption("--verbose");
    }

    private int listExports() throws IOException {
        Address address = listening.client("localhost");
        RemoteOptions options =
                RemoteOptions.of(new NbdUri(address, "")).withTls(security.client());
        try (RemoteServer server = RemoteServer.connect(options)) {
            ExportListing.print(server, System.out);
        }
        return 0;
    }

    private ServerProcess.Server start(OpenImage opened, ServerOptions options, boolean background)
            throws IOException, InterruptedException {
        NbdServer server = null;
        boolean done = false;
        try {
            Export export = export(opened);
            server = NbdServer.start(Exports.of(export), options);
            clientTesting.inject(server);
            String uris = listening.listen(server, export.name(), options.tls() != null);
            if (device != null) {
                KernelDevice.attach(device, listening.unixSocket(), export.name());
            }
            writePid();
            done = true;
            NbdServer running = server;
            return new ServerProcess.Server(
                    uris, () -> awaitEnd(running, background), () -> close(running, opened));
        } finally {
            if (!done) {
                if (server != null) {
                    server.close();
                }
                opened.close();
            }
        }
    }

    private void writePid() throws IOException {
        if (pidFile == null) {
            return;
        }
        try {
            Files.writeString(pidFile, ProcessHandle.current().pid() + "\n");
        } catch (IOException e) {
            throw new IOException(
                    "cannot write the process id to %s: is its folder there, and may it be written?"
                            .formatted(pidFile),
                    e);
        }
    }

    private Export export(OpenImage opened) throws BlockException {
        Gate root = opened.connect(image.readOnly());
        try {
            Export export =
                    new Export(
                                    name == null ? "" : name,
                                    description == null ? "" : description,
                                    root)
                            .withMinimumBlockSize(minimumBlock);
            if (resize) {
                export = export.withResizing();
            }
            for (MetaContext context : image.contexts(opened)) {
                export = export.withContext(context);
            }
            return allocationDepth ? export.withContext(MetaContext.allocationDepth(root)) : export;
        } catch (IllegalArgumentException e) {
            throw new UsageError(String.valueOf(e.getMessage()));
        }
    }

    private void awaitEnd(NbdServer server, boolean background)
            throws IOException, InterruptedException {
        if (background) {
            Detached.ready(isVerbose());
        }
        listening.awaitEnd(server);
    }

    private void close(NbdServer server, OpenImage opened) throws IOException {
        server.close();
        try {
            opened.close();
        } finally {
            if (pidFile != null) {
                Files.deleteIfExists(pidFile);
            }
        }
    }
}
