package dev.lockstep.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/// Does once what the program is mostly started for, so that the build can keep what the JVM has
/// loaded and linked for it: a server, and both tools as its clients. It says nothing, and ends as
/// the server ends.
final class Rehearsal {
    private static final int DISK_BYTES = 4 << 20;
    private static final long START_LIMIT_SECONDS = 30;
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

    private Rehearsal() {}

    /// The whole rehearsal.
    public static void main(String[] arguments) throws IOException {
        Path folder = Files.createTempDirectory("lockstep-rehearsal");
        Path disk = folder.resolve("disk");
        Path copy = folder.resolve("copy");
        Path image = folder.resolve("image");
        Path socket = folder.resolve("socket");
        PrintStream output = System.out;
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(DISK_BYTES);
            file.write("Not empty.".getBytes(StandardCharsets.UTF_8));
        }
        System.setOut(new PrintStream(OutputStream.nullOutputStream(), true));
        EarlyEnd.expect("nbd");
        EarlyEnd.over();
        try {
            Thread.ofPlatform()
                    .daemon()
                    .start(() -> run("nbd", "-f", "raw", "-t", "-k", socket + "", disk + ""));
            awaitFile(socket);
            String uri = "nbd+unix:///?socket=" + socket;
            run("info", uri);
            run("info", "--json", "--list", uri);
            run("info", "--map", uri);
            run("copy", "--flush", uri, copy.toString());
            run("copy", copy.toString(), uri);
            run("copy", "-p", uri, "null:");
            run("img", "convert", "-f", "raw", "-O", "qcow2", uri, image.toString());
            run("img", "convert", "-n", "-f", "qcow2", "-O", "raw", image.toString(), uri);
            rehearseImages(disk.toString(), image.toString(), copy.toString());
        } finally {
            System.setOut(output);
            Files.deleteIfExists(copy);
            Files.deleteIfExists(image);
            Files.deleteIfExists(disk);
            Files.deleteIfExists(socket);
            Files.deleteIfExists(folder);
        }
        System.exit(0);
    }

    private static void rehearseImages(String disk, String image, String copy) {
        run("img", "create", "-f", "qcow2", image, "4M");
        run("img", "convert", "-c", "-U", "-f", "raw", "-O", "qcow2", disk, image);
        run("img", "convert", "-f", "qcow2", "-O", "raw", image, copy);
        run("img", "convert", "-U", "-f", "raw", "-O", "qed", disk, image);
        run("img", "convert", "-f", "qed", "-O", "raw", image, copy);
        run("img", "convert", "-U", "-m", "16", "-W", "-f", "raw", "-O", "raw", disk, copy);
        run("img", "convert", "-U", "-m", "16", "-W", "-f", "raw", "-O", "qcow2", disk, image);
        run("img", "convert", "-m", "16", "-W", "-f", "qcow2", "-O", "qcow2", image, copy);
        run("img", "measure", "-O", "qcow2", image);
        run("img", "check", image);
        run("img", "info", image);
        run("img", "info", "--output=json", image);
        run("img", "map", image);
        run("img", "map", "--output=json", image);
        run("img", "compare", image, copy);
        run("io", "-f", "qcow2", "-c", "write -q 0 64k", "-c", "read -q 0 64k", image);
    }

    private static void run(String... arguments) {
        int status = Main.commandLine(arguments).execute(arguments);
        if (status != 0) {
            throw new IllegalStateException(String.join(" ", arguments) + ": status " + status);
        }
    }

    private static void awaitFile(Path file) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_LIMIT_SECONDS);
        while (!Files.exists(file) && System.nanoTime() < deadline) {
            // Waiting for the server to listen; nothing else tells.
            LockSupport.parkNanos(POLL_NANOS);
        }
    }
}
