package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.CopyBuffers;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/// What a map file says of its overlay: one header slot, as `docs/overlay-format.md` has it.
///
/// @param sequence counts the headers that were written; the higher of two holds
/// @param generation counts how often the overlay was made empty; a map sector of another one says
///     nothing
/// @param size the length of the disk in bytes
/// @param clusterBytes how much is held or not held at once
/// @param name whatever the overlay's owner calls what it holds
/// @param backingFile what shows where nothing is held, or empty
/// @param backingFormat its format, or empty if that is to be guessed
/// @param dataFile where clusters are held
public record MapHeader(
        long sequence,
        long generation,
        long size,
        int clusterBytes,
        Name name,
        String backingFile,
        String backingFormat,
        String dataFile) {
    /// The first bytes of a map file.
    public static final String MAGIC = "LSTPOVLY";

    /// A bit each in memory are 512 MiB at most, when all of a disk of 256 TiB in clusters of 64
    /// KiB is held.
    public static final long CLUSTERS_MAX = 1L << 32;

    /// Below it a sector of the map would stand for less data than a seek costs.
    public static final int CLUSTER_BYTES_MIN = 4096;

    /// A whole cluster is copied in one step.
    public static final int CLUSTER_BYTES_MAX = CopyBuffers.BYTES;

    /// As qcow2 has it.
    public static final int NAME_BYTES_MAX = 1023;

    static final int SLOT_BYTES = 4096;
    static final int SLOTS = 2;

    private static final int VERSION = 1;
    private static final int NAMES_AT = 72;
    private static final int CHECKSUM_AT = SLOT_BYTES - Integer.BYTES;

    /// Twenty-four bytes of the owner's.
    public record Name(long high, long low, long number) {
        /// Nobody's.
        public static final Name NONE = new Name(0, 0, 0);
    }

    /// Checks the numbers; what is read from a file was checked before.
    public MapHeader {
        String wrong = wrong(size, clusterBytes);
        if (wrong != null) {
            throw new IllegalArgumentException(wrong);
        }
    }

    /// The header of a new overlay.
    ///
    /// @throws BlockException with one sentence if there cannot be such an overlay
    public static MapHeader create(
            long size, int clusterBytes, String backingFile, String backingFormat, String dataFile)
            throws BlockException {
        String wrong = wrong(size, clusterBytes);
        for (String name : new String[] {backingFile, backingFormat, dataFile}) {
            if (bytes(name).length > NAME_BYTES_MAX) {
                wrong = "the name '%s' is longer than %d bytes".formatted(name, NAME_BYTES_MAX);
            }
        }
        if (wrong != null) {
            throw new BlockException(Kind.INVALID, "overlay: " + wrong);
        }
        return new MapHeader(
                0, 1, size, clusterBytes, Name.NONE, backingFile, backingFormat, dataFile);
    }

    private static @Nullable String wrong(long size, long clusterBytes) {
        if (Long.bitCount(clusterBytes) != 1
                || clusterBytes < CLUSTER_BYTES_MIN
                || clusterBytes > CLUSTER_BYTES_MAX) {
            return "clusters of %d bytes are not a power of two from %d to %d"
                    .formatted(clusterBytes, CLUSTER_BYTES_MIN, CLUSTER_BYTES_MAX);
        }
        if (size < 0 || size > CLUSTERS_MAX * clusterBytes) {
            return "a disk of %d bytes is more than %d clusters of %d"
                    .formatted(size, CLUSTERS_MAX, clusterBytes);
        }
        return null;
    }

    /// The next header, of a map that holds nothing.
    MapHeader emptied(Name next) {
        return new MapHeader(
                sequence + 1,
                generation + 1,
                size,
                clusterBytes,
                next,
                backingFile,
                backingFormat,
                dataFile);
    }

    /// The next header, above another backing file.
    ///
    /// @throws BlockException if a name is too long
    MapHeader above(String file, String format) throws BlockException {
        MapHeader _ = create(size, clusterBytes, file, format, dataFile);
        return new MapHeader(
                sequence + 1, generation, size, clusterBytes, name, file, format, dataFile);
    }

    /// How many clusters the disk has.
    public long clusters() {
        return (size + clusterBytes - 1) / clusterBytes;
    }

    /// Where its slot begins.
    long slotOffset() {
        return sequence % SLOTS * SLOT_BYTES;
    }

    ByteBuffer encode() {
        ByteBuffer slot = ByteBuffer.allocate(SLOT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        slot.put(MAGIC.getBytes(StandardCharsets.US_ASCII)).putInt(VERSION);
        slot.putInt(Integer.numberOfTrailingZeros(clusterBytes));
        slot.putLong(sequence).putLong(generation).putLong(size);
        slot.putLong(name.high).putLong(name.low).putLong(name.number);
        byte[][] names = {bytes(backingFile), bytes(backingFormat), bytes(dataFile)};
        for (byte[] each : names) {
            slot.putShort((short) each.length);
        }
        slot.position(NAMES_AT);
        for (byte[] each : names) {
            slot.put(each);
        }
        slot.putInt(CHECKSUM_AT, checksum(slot));
        return slot.clear();
    }

    /// The header of one slot, or null if it is damaged.
    ///
    /// @throws BlockException if it is whole, and nothing that this program understands
    static @Nullable MapHeader decode(ByteBuffer bytes, String file) throws BlockException {
        ByteBuffer slot = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
        if (slot.limit() < SLOT_BYTES
                || !isMagic(slot)
                || slot.getInt(CHECKSUM_AT) != checksum(slot)) {
            return null;
        }
        slot.position(MAGIC.length());
        int version = slot.getInt();
        if (version != VERSION) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "%s: version %d of the overlay format is not supported"
                            .formatted(file, version));
        }
        int clusterBits = slot.getInt();
        long clusterBytes = clusterBits >= 0 && clusterBits < Integer.SIZE ? 1L << clusterBits : 0;
        long sequence = slot.getLong();
        long generation = slot.getLong();
        long size = slot.getLong();
        Name name = new Name(slot.getLong(), slot.getLong(), slot.getLong());
        int[] lengths = {slot.getShort(), slot.getShort(), slot.getShort()};
        String wrong = wrong(size, clusterBytes);
        if (!isCount(sequence) || !isCount(generation) || wrong != null || !areLengths(lengths)) {
            String what = wrong == null ? "it contradicts itself" : wrong;
            throw new BlockException(
                    Kind.CORRUPT, "%s: the overlay's header: %s".formatted(file, what));
        }
        slot.position(NAMES_AT);
        return new MapHeader(
                sequence,
                generation,
                size,
                (int) clusterBytes,
                name,
                text(slot, lengths[0]),
                text(slot, lengths[1]),
                text(slot, lengths[2]));
    }

    static boolean isMagic(ByteBuffer slot) {
        return slot.limit() >= MAGIC.length()
                && slot.slice(0, MAGIC.length())
                        .equals(ByteBuffer.wrap(MAGIC.getBytes(StandardCharsets.US_ASCII)));
    }

    /// One that goes on counting for as long as anybody likes.
    private static boolean isCount(long number) {
        return number >= 0 && number < Long.MAX_VALUE / 2;
    }

    /// Three names of the greatest length fit in a slot.
    private static boolean areLengths(int[] lengths) {
        for (int length : lengths) {
            if (length < 0 || length > NAME_BYTES_MAX) {
                return false;
            }
        }
        return true;
    }

    private static String text(ByteBuffer slot, int length) {
        byte[] text = new byte[length];
        slot.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static int checksum(ByteBuffer slot) {
        CRC32C crc = new CRC32C();
        crc.update(slot.slice(0, CHECKSUM_AT));
        return (int) crc.getValue();
    }
}
