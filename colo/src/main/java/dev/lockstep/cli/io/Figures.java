package dev.lockstep.cli.io;

import dev.lockstep.block.BlockException;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.util.Locale;

/// How qemu-io writes sizes, rates, errors and bytes.
final class Figures {
    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    private static final int ROW_BYTES = 16;
    private static final double NANOS = 1e9;

    private Figures() {}

    /// `1 MiB`, `1.500 KiB`, `512 bytes`.
    static String size(long bytes) {
        return amount((double) bytes);
    }

    private static String amount(double bytes) {
        if (bytes < 1024) {
            return plain(bytes) + " bytes";
        }
        double value = bytes / 1024;
        int unit = 0;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        // Halves go to the even digit, as in C; Java's own formats take them up.
        String number = new BigDecimal(value).setScale(3, RoundingMode.HALF_EVEN).toPlainString();
        if (number.endsWith(".000")) {
            number = number.substring(0, number.length() - 4);
        }
        return number + " " + UNITS[unit];
    }

    private static String plain(double bytes) {
        return bytes == Math.rint(bytes)
                ? Long.toString((long) bytes)
                : String.format(Locale.ROOT, "%.6f", bytes);
    }

    /// What a request did and how long it took.
    ///
    /// @param done `read`, `wrote` or `discard`
    /// @param forPrograms one line of numbers with commas between
    static String report(String done, long offset, long bytes, long nanos, boolean forPrograms) {
        double seconds = Math.max(nanos, 1) / NANOS;
        double rate = bytes / seconds;
        double operations = 1 / seconds;
        if (forPrograms) {
            return "%d,1,%s,%.3f,%.3f%n".formatted(bytes, clock(seconds), rate, operations);
        }
        return "%s %d/%d bytes at offset %d%n%s, 1 ops; %s (%s/sec and %.4f ops/sec)%n"
                .formatted(
                        done,
                        bytes,
                        bytes,
                        offset,
                        size(bytes),
                        seconds < 60 ? "%05.2f sec".formatted(seconds) : clock(seconds),
                        amount(rate),
                        operations);
    }

    private static String clock(double seconds) {
        long whole = (long) seconds;
        return "%d:%02d:%05.2f"
                .formatted(whole / 3600, whole / 60 % 60, whole % 60 + (seconds - whole));
    }

    /// Rows of bytes, as numbers and as letters.
    static String dump(long offset, ByteBuffer bytes) {
        StringBuilder text = new StringBuilder();
        for (int row = 0; row < bytes.limit(); row += ROW_BYTES) {
            StringBuilder letters = new StringBuilder();
            text.append("%08x:  ".formatted(offset + row));
            for (int at = row; at < Math.min(row + ROW_BYTES, bytes.limit()); at++) {
                int value = bytes.get(at) & 0xff;
                text.append("%02x ".formatted(value));
                boolean readable = value < 0x80 && Character.isLetterOrDigit(value);
                letters.append(readable ? (char) value : '.');
            }
            text.append(' ').append(letters).append(System.lineSeparator());
        }
        return text.toString();
    }

    /// The C library's words for what went wrong.
    static String reason(BlockException e) {
        return switch (e.kind()) {
            case IO, OUT_OF_RANGE, CORRUPT, GONE -> "Input/output error";
            case NO_SPACE -> "No space left on device";
            case READ_ONLY, DENIED -> "Operation not permitted";
            case INVALID -> "Invalid argument";
            case UNSUPPORTED -> "Operation not supported";
            case TIMEOUT -> "Connection timed out";
            case NO_MEMORY -> "Cannot allocate memory";
        };
    }
}
