package dev.lockstep.cli;

import dev.lockstep.colo.PrimaryOptions;
import dev.lockstep.colo.SecondaryOptions;
import dev.lockstep.colo.Side;
import dev.lockstep.colo.Status;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.primary.PrimaryNode;
import dev.lockstep.colo.secondary.SecondaryNode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import java.io.IOException;
import java.util.concurrent.locks.LockSupport;

/// Runs a side of a pair as a process.
final class Sides {
    private static final long PROGRESS_INTERVAL_NANOS = 1_000_000_000L;
    private static final long PERCENT = 100;

    private Sides() {}

    static Side secondary(SecondaryOptions options) throws IOException {
        return SecondaryNode.start(options);
    }

    static Side primary(PrimaryOptions options) throws IOException, InterruptedException {
        return PrimaryNode.start(options);
    }

    /// What the process of a side serves.
    static ServerProcess.Server server(Side side) {
        NbdUri bound = side.guestExport();
        NbdUri reachable = new NbdUri(Reachable.from(bound.address()), bound.export(), bound.tls());
        return new ServerProcess.Server(reachable.format(), side::awaitQuit, side::close);
    }

    /// Tells on standard error which port was taken where any free one was asked for: the ready
    /// line has room for the guest's export alone.
    static void tellPort(String command, String option, Address asked, String taken) {
        if (asked.takesFreePort()) {
            System.err.printf("%s: %s %s is %s%n", command, option, asked, taken);
        }
    }

    /// Tells on standard error how far the initial copy is, until it is done or broken off.
    static void showProgress(String command, Side side) {
        Thread.ofVirtual().name("progress").start(() -> watch(command, side));
    }

    private static void watch(String command, Side side) {
        long told = -1;
        Status.SyncProgress progress = side.status().sync();
        while (progress != null) {
            long percent = PERCENT * progress.copiedBytes() / Math.max(1, progress.totalBytes());
            if (percent != told) {
                System.err.printf(
                        "%s: copied %d of %d bytes (%d %%)%n",
                        command, progress.copiedBytes(), progress.totalBytes(), percent);
                told = percent;
            }
            // Nothing signals progress: it is looked at once a second.
            LockSupport.parkNanos(PROGRESS_INTERVAL_NANOS);
            progress = side.status().sync();
        }
        State state = side.status().state();
        if (state == State.SYNCING || state == State.RUNNING) {
            System.err.println(command + ": the copy is complete (100 %)");
        }
    }
}
