package dev.lockstep.it;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/// A fault in the system calls that a running process makes on one file, injected by strace from
/// outside, until closed.
final class Fault implements AutoCloseable {
    /// Every call that writes to a file.
    static final String WRITES = "pwrite64,pwritev,pwritev2,write,fallocate";

    static final String SYNCS = "fdatasync,fsync";

    private final Process strace;
    private final Path log;

    private Fault(Process strace, Path log) {
        this.strace = strace;
        this.log = log;
    }

    /// Makes the calls fail or wait; `what` is strace's: `error=EIO`, `delay_enter=2000000` (us).
    static Fault inject(long pid, Path file, String calls, String what) {
        try {
            Path log = Files.createTempFile("strace", ".log");
            Process strace =
                    Peer.start(
                            log,
                            "strace",
                            "-f",
                            "-p",
                            Long.toString(pid),
                            "-P",
                            file.toString(),
                            "-e",
                            "trace=" + calls,
                            "-e",
                            "inject=" + calls + ":" + what);
            await().atMost(10, TimeUnit.SECONDS)
                    .until(() -> Files.readString(log).contains("attached"));
            return new Fault(strace, log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Returns once a call was hit.
    void awaitHit() {
        await().atMost(10, TimeUnit.SECONDS)
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .until(
                        () -> {
                            String calls = Files.readString(log);
                            return calls.contains("(DELAYED)") || calls.contains("(INJECTED)");
                        });
    }

    @Override
    public void close() {
        try {
            strace.destroy();
            strace.waitFor();
            Files.delete(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
