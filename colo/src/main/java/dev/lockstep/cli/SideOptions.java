package dev.lockstep.cli;

import dev.lockstep.nbd.Address;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Files;
import java.nio.file.Path;

/// What both sides of a pair are started with.
final class SideOptions {
    @Option(
            names = "--name",
            required = true,
            paramLabel = "NAME",
            description =
                    "The pair's name and that of its exports: 1 to 31 of letters, digits, '.', '_'"
                            + " and '-', a letter first. The same on both sides.")
    @SuppressWarnings("NullAway.Init")
    String name;

    @Option(
            names = "--disk",
            required = true,
            paramLabel = "FILE",
            description = "This side's copy of the disk: a file or a block device.")
    @SuppressWarnings("NullAway.Init")
    Path disk;

    @Option(
            names = {"-f", "--format"},
            paramLabel = "FMT",
            description =
                    "What is in it: raw, qcow2, or any other format that `lockstep nbd` reads and"
                            + " writes; it may differ from the peer's. Default: what it looks like;"
                            + " where that is raw, its guest cannot make its first sector look"
                            + " otherwise, so say raw.")
    @Nullable String format;

    @Option(
            names = "--export",
            required = true,
            paramLabel = "ADDRESS",
            description =
                    "Where this side's guest attaches: unix:PATH, HOST:PORT or [IPV6]:PORT; port 0"
                            + " takes a free one.")
    @SuppressWarnings("NullAway.Init")
    Address export;

    @Option(
            names = "--monitor",
            required = true,
            paramLabel = "ADDRESS",
            description = "Where this side's QMP monitor listens.")
    @SuppressWarnings("NullAway.Init")
    Address monitor;

    @Option(
            names = "--state",
            paramLabel = "FILE",
            description =
                    "This side's durable record: its role, generation and checkpoint. Default: the"
                            + " disk's name with .lockstep appended, beside it; must be given for a"
                            + " block device. Keep it with the disk: without it the pair has to be"
                            + " synchronised anew.")
    private @Nullable Path state;

    @Option(
            names = "--force",
            description =
                    "Start even where a side that was promoted, or is newer than its peer, would be"
                            + " overwritten.")
    boolean force;

    @Option(
            names = "--insecure",
            description =
                    "Allow a TCP address that other hosts reach without TLS. Nothing encrypts or"
                            + " authenticates what goes over it: use it on a network of your own"
                            + " only.")
    boolean insecure;

    @Mixin PairTlsOptions tls = new PairTlsOptions();

    /// Where the durable record is.
    Path state(Path beside) {
        if (state != null) {
            return state;
        }
        if (Files.exists(disk) && !Files.isRegularFile(disk)) {
            throw new UsageError(
                    "%s is no regular file, so --state has to say where its record is kept"
                            .formatted(disk));
        }
        return beside;
    }
}
