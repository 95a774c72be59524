package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/// An emulated machine with Debian 13's kernel, whose NBD client is the Linux kernel's own. Its
/// shell is ours to command, one command at a time; our loopback is [#HOST] there.
final class KernelGuest implements AutoCloseable {
    /// What the guest calls this machine.
    static final String HOST = "10.0.2.2";

    /// It boots in 4 s, and does in a second what takes a hundredth of one here.
    private static final int ANSWER_SECONDS_MAX = 120;

    private static final String END = "#status ";

    private final Process process;
    private final Path messages;
    private final Writer shell;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

    private KernelGuest(Process process, Path messages) {
        this.process = process;
        this.messages = messages;
        this.shell = process.outputWriter(StandardCharsets.UTF_8);
        Thread.ofVirtual().start(this::drain);
    }

    /// Returns once the guest's shell listens.
    static KernelGuest boot() {
        Debian13.program("qemu-system-x86_64");
        try {
            Path messages = Files.createTempFile("guest", ".log");
            KernelGuest guest =
                    new KernelGuest(
                            new ProcessBuilder(Debian13.RIGS.resolve("guest").toString())
                                    .redirectError(messages.toFile())
                                    .start(),
                            messages);
            assertEquals("ready", guest.nextLine("the boot"));
            return guest;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Runs a command that has to succeed, and returns what it printed.
    String run(String command) {
        try {
            shell.write("{ " + command + "\n} </dev/null; echo \"" + END + "$?\"\n");
            shell.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        StringBuilder output = new StringBuilder();
        String line = nextLine(command);
        for (; !line.startsWith(END); line = nextLine(command)) {
            output.append(line).append('\n');
        }
        String status = line.substring(END.length());
        assertEquals("0", status, () -> command + "\n" + output + said());
        return output.toString();
    }

    /// Turns it off as pulling the plug does.
    @Override
    public void close() {
        process.destroyForcibly();
        try {
            process.waitFor();
            Files.deleteIfExists(messages);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private String nextLine(String awaited) {
        try {
            String line = lines.poll(ANSWER_SECONDS_MAX, TimeUnit.SECONDS);
            return line != null
                    ? line
                    : fail("the guest did not answer: " + awaited + "\n" + said());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private String said() {
        try {
            return Files.readString(messages, StandardCharsets.ISO_8859_1);
        } catch (NoSuchFileException _) {
            return "it was turned off";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void drain() {
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            reader.lines().forEach(lines::add);
        } catch (IOException | UncheckedIOException e) {
            lines.add("the guest's output broke: " + e);
        }
        lines.add("the guest has ended: " + said());
    }
}
