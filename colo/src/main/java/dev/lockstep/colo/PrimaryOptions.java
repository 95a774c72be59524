package dev.lockstep.colo;

import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/// How a primary is started.
///
/// @param name the pair's name, also that of the guest's export
/// @param disk the primary's disk: a file or a block device
/// @param format the disk's format, or null if it is to be found by looking
/// @param secondary the secondary's `--listen`, with the pair's name as export
/// @param secondaryMonitor the secondary's monitor
/// @param export where the guest attaches
/// @param monitor where QMP clients connect
/// @param state the durable record of this side
/// @param sync how the two disks come to hold the same bytes
/// @param onPeerLoss what becomes of the guest's writes while there is no secondary
/// @param ioTimeout after how long an unanswered request makes the secondary count as lost
/// @param checkpointEvery the longest time between checkpoints; empty: only when asked
/// @param force overwrite even a secondary that was promoted or is newer
/// @param insecure allow `monitor` on an address that other hosts reach without TLS
/// @param tls how TLS is spoken on TCP addresses
public record PrimaryOptions(
        String name,
        Path disk,
        @Nullable String format,
        NbdUri secondary,
        Address secondaryMonitor,
        Address export,
        Address monitor,
        Path state,
        SyncMode sync,
        OnPeerLoss onPeerLoss,
        Duration ioTimeout,
        Optional<Duration> checkpointEvery,
        boolean force,
        boolean insecure,
        PairTls tls) {
    /// Below the 30 s after which a Linux guest gives up on its disk.
    public static final Duration IO_TIMEOUT_DEFAULT = Duration.ofSeconds(10);

    /// Checks what can be checked without touching the disk or the network.
    public PrimaryOptions {
        OptionRules.checkName(name);
        OptionRules.checkPrivate("--monitor", monitor, insecure || tls.isOn());
        if (!secondary.export().equals(name)) {
            throw new IllegalArgumentException(
                    "--secondary names the export '%s', but --name is '%s': they must be equal"
                            .formatted(secondary.export(), name));
        }
        checkPositive("--io-timeout", ioTimeout);
        checkpointEvery.ifPresent(every -> checkPositive("--checkpoint-every", every));
    }

    /// Where the durable record is kept where no place was given: beside the disk.
    public static Path defaultState(Path disk) {
        return OptionRules.defaultState(disk);
    }

    private static void checkPositive(String option, Duration duration) {
        if (duration.isNegative() || duration.isZero()) {
            throw new IllegalArgumentException(option + " must be longer than nothing");
        }
    }
}
