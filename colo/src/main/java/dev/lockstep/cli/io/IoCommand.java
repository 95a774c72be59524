package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.cli.img.ObjectArguments;
import dev.lockstep.cli.io.DiskOptions.Flag;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;

/// `lockstep io`.
@Command(
        name = "io",
        description = {
            "Read and write a disk by hand or by script, with qemu-io's options, commands and"
                    + " output.",
            "",
            "Commands come from -c, or one a line from standard input. The status is 1 if any of"
                    + " them has failed. 'lockstep io -c help' lists them."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep io -f raw -c 'write -P 0x41 0 64k' -c 'read -P 0x41 0 64k' disk.raw",
            "  lockstep io -r -c map disk.qcow2",
            "  echo 'read -v 0 512' | lockstep io nbd://server/disk"
        })
public final class IoCommand implements Callable<Integer> {
    /// What qemu-io prints, and what scripts that compare its output take out.
    private static final String PROMPT = "qemu-io> ";

    private static final int OUTPUT_BUFFER_BYTES = 64 << 10;

    private static final Set<String> AIO_MODES = Set.of("threads", "native", "io_uring");

    @Mixin private ObjectArguments objects = new ObjectArguments();

    @Option(
            names = {"-c", "--cmd"},
            paramLabel = "COMMAND",
            description = "Carry out this command, instead of what standard input says.")
    private List<String> commands = List.of();

    @Option(
            names = {"-f", "--format"},
            paramLabel = "FMT",
            description = "The disk's format. Default: found out by looking.")
    private @Nullable String format;

    @Option(
            names = "--image-opts",
            description = "FILE is a list of options, as in driver=raw,file.filename=PATH.")
    private boolean imageOptions;

    @Option(
            names = {"-r", "--read-only"},
            description = "Open it for reading only.")
    private boolean readOnly;

    @Option(
            names = {"-s", "--snapshot"},
            description = "Leave FILE as it is: what is written goes to a temporary file.")
    private boolean snapshot;

    @Option(
            names = {"-C", "--copy-on-read"},
            description = "Write to FILE what is read from the images below it.")
    private boolean copyOnRead;

    @Option(
            names = {"-n", "--nocache"},
            description = "The same as -t none.")
    private boolean noCache;

    @Option(
            names = {"-t", "--cache"},
            paramLabel = "MODE",
            description = "writeback (the default), none, writethrough, directsync or unsafe.")
    private String cache = "writeback";

    @Option(
            names = {"-d", "--discard"},
            paramLabel = "MODE",
            description = "What discards do: unmap (the default) or ignore.")
    private String discard = "unmap";

    @Option(
            names = {"-U", "--force-share"},
            description = "Let others write to the disk meanwhile; with -r.")
    private boolean forceShare;

    @Option(
            names = {"-i", "--aio"},
            paramLabel = "MODE",
            description = "threads, native or io_uring. Taken, and makes no difference.")
    private String aio = "threads";

    @Option(
            names = {"-k", "--native-aio", "-m", "--misalign"},
            description = "Taken, and makes no difference.")
    private boolean ignored;

    @Option(
            names = {"-T", "--trace"},
            paramLabel = "WHAT",
            description = "Taken, and makes no difference: -v logs more.")
    @SuppressWarnings("UnusedVariable")
    private @Nullable String trace;

    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "FILE",
            description = "A path, an NBD URI or json:{...}.")
    private @Nullable String file;

    @Override
    public Integer call() throws IOException, InterruptedException {
        DiskOptions options = options();
        PrintStream output =
                new PrintStream(
                        new BufferedOutputStream(
                                new FileOutputStream(FileDescriptor.out), OUTPUT_BUFFER_BYTES),
                        false,
                        StandardCharsets.UTF_8);
        try (Session session = new Session(output, options)) {
            if (file != null) {
                session.use(Disk.open(file, "", options));
            }
            if (commands.isEmpty()) {
                converse(session);
            } else {
                for (String command : commands) {
                    if (!session.isOver()) {
                        session.run(command);
                    }
                }
            }
            session.awaitBeside();
            return session.hasFailed() ? 1 : 0;
        }
    }

    private DiskOptions options() throws IOException {
        if (!AIO_MODES.contains(aio)) {
            throw new BlockException(Kind.INVALID, "Invalid aio option: " + aio);
        }
        return DiskOptions.NONE
                .with(objects.objects())
                .withFormat(format)
                .with(Flag.IMAGE_OPTIONS, imageOptions)
                .with(Flag.READ_ONLY, readOnly)
                .with(Flag.SNAPSHOT, snapshot)
                .with(Flag.COPY_ON_READ, copyOnRead)
                .with(Flag.FORCE_SHARE, forceShare)
                .withCache(noCache ? "none" : cache)
                .withDiscard(discard);
    }

    private static void converse(Session session) throws IOException, InterruptedException {
        BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (!session.isOver()) {
            session.print(PROMPT);
            String line = input.readLine();
            if (line == null) {
                return;
            }
            session.run(line);
        }
    }
}
