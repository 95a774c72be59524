package dev.lockstep.colo;

import dev.lockstep.nbd.Address;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;

/// How a secondary is started.
///
/// @param name the pair's name, also that of both exports
/// @param disk the secondary's copy of the disk: a file or a block device
/// @param format the disk's format, or null if it is to be found by looking
/// @param buffers where the active and the hidden disk live
/// @param listen where the joined primary writes to
/// @param export where the guest of this side attaches
/// @param monitor where QMP clients connect, the primary included
/// @param state the durable record of this side
/// @param bufferLimitBytes how much active and hidden disk may hold together before a write of the
///     primary is refused
/// @param force start even as the copy to be overwritten of a side that was promoted or is newer
/// @param insecure allow `listen` and `monitor` on addresses that other hosts reach without TLS
/// @param tls how TLS is spoken on TCP addresses
public record SecondaryOptions(
        String name,
        Path disk,
        @Nullable String format,
        Buffers buffers,
        Address listen,
        Address export,
        Address monitor,
        Path state,
        long bufferLimitBytes,
        boolean force,
        boolean insecure,
        PairTls tls) {
    /// Where the buffered bytes live.
    public sealed interface Buffers {
        /// How [Ram] is written.
        String RAM = "ram";

        /// In memory: gone with the process.
        record Ram() implements Buffers {
            @Override
            public String toString() {
                return RAM;
            }
        }

        /// In sparse files in a folder, which is created if missing: gone with the process too.
        record Folder(Path path) implements Buffers {
            @Override
            public String toString() {
                return path.toString();
            }
        }

        /// In files in a folder, which is created if missing, each saved byte on stable storage
        /// before it is overwritten: a restart finds the checkpoint again.
        record Durable(Path path) implements Buffers {
            @Override
            public String toString() {
                return path.toString();
            }
        }

        /// Whether a restart finds them.
        default boolean outlivesProcess() {
            return this instanceof Durable;
        }

        /// Reads `ram` or a folder's path.
        static Buffers parse(String text, boolean durable) {
            if (text.isEmpty()) {
                throw new IllegalArgumentException("--buffers is 'ram' or a folder");
            }
            if (text.equals(RAM)) {
                if (durable) {
                    throw new IllegalArgumentException(
                            "--durable needs a folder: memory does not outlive the process");
                }
                return new Ram();
            }
            return durable ? new Durable(Path.of(text)) : new Folder(Path.of(text));
        }
    }

    /// In RAM: what a host that runs guests can spare without being asked.
    public static final long RAM_LIMIT_BYTES_DEFAULT = 1L << 30;

    /// In a folder: disks are an order of magnitude larger.
    public static final long FOLDER_LIMIT_BYTES_DEFAULT = 16L << 30;

    /// Less than one copied cluster each for the active and the hidden disk could never hold a
    /// write.
    private static final long LIMIT_BYTES_MIN = 128L << 10;

    /// Checks what can be checked without touching the disk.
    public SecondaryOptions {
        OptionRules.checkName(name);
        OptionRules.checkPrivate("--listen", listen, insecure || tls.isOn());
        OptionRules.checkPrivate("--monitor", monitor, insecure || tls.isOn());
        if (bufferLimitBytes < LIMIT_BYTES_MIN) {
            throw new IllegalArgumentException(
                    "--buffer-limit %d is less than %d bytes, which no write fits in"
                            .formatted(bufferLimitBytes, LIMIT_BYTES_MIN));
        }
        OptionRules.checkDistinct("--listen", listen, "--export", export);
        OptionRules.checkDistinct("--listen", listen, "--monitor", monitor);
        OptionRules.checkDistinct("--export", export, "--monitor", monitor);
    }

    /// The limit on buffered bytes where none was given.
    public static long defaultLimitBytes(Buffers buffers) {
        return switch (buffers) {
            case Buffers.Ram _ -> RAM_LIMIT_BYTES_DEFAULT;
            case Buffers.Folder _, Buffers.Durable _ -> FOLDER_LIMIT_BYTES_DEFAULT;
        };
    }

    /// Where the durable record is kept where no place was given: beside the disk.
    public static Path defaultState(Path disk) {
        return OptionRules.defaultState(disk);
    }
}
