package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.ByteCount;

/// Numbers of bytes, as qemu-img reads and writes them.
final class Sizes {
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private Sizes() {}

    /// `4 MiB`, `232 KiB`, `1.5 GiB`: three digits, in the largest unit of which there is one.
    static String human(long bytes) {
        int unit = 0;
        double value = bytes;
        while (value >= 1000 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        double scale = value < 1 ? 1000 : value < 10 ? 100 : value < 100 ? 10 : 1;
        double digits = Math.rint(value * scale) / scale;
        long whole = (long) digits;
        return (digits == whole ? Long.toString(whole) : Double.toString(digits))
                + " "
                + UNITS[unit];
    }

    /// Reads one.
    ///
    /// @param what it is the size of
    static long parse(String what, String text) throws BlockException {
        try {
            return ByteCount.parse(text);
        } catch (IllegalArgumentException e) {
            throw new BlockException(Kind.INVALID, "%s: %s".formatted(what, e.getMessage()), e);
        }
    }
}
