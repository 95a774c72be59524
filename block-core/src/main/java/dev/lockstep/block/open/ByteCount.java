package dev.lockstep.block.open;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads numbers of bytes as people write them: `1048576`, `1024K`, `1M`, `1.5G`, `0x200`.
public final class ByteCount {
    private static final Pattern HEXADECIMAL = Pattern.compile("0[xX]([0-9a-fA-F]{1,15})");
    private static final Pattern DECIMAL =
            Pattern.compile("([0-9]{1,18})(\\.[0-9]{1,9})?(?:([kKmMgGtTpP])(?:i?[bB])?|[bB])?");

    private ByteCount() {}

    /// Reads one.
    ///
    /// @throws IllegalArgumentException if it is none, with one sentence that says what is expected
    public static long parse(String text) {
        Matcher hexadecimal = HEXADECIMAL.matcher(text);
        if (hexadecimal.matches()) {
            return Long.parseLong(hexadecimal.group(1), 16);
        }
        Matcher decimal = DECIMAL.matcher(text);
        if (!decimal.matches() || (decimal.group(2) != null && decimal.group(3) == null)) {
            throw new IllegalArgumentException(
                    "'%s' is no number of bytes: write 1048576, 1024K, 1M or 1G".formatted(text));
        }
        String unit = decimal.group(3) == null ? "" : decimal.group(3).toUpperCase(Locale.ROOT);
        int shift = unit.isEmpty() ? 0 : 10 * (1 + "KMGTP".indexOf(unit));
        long whole = Long.parseLong(decimal.group(1));
        if (whole > (Long.MAX_VALUE >> shift) - 1) {
            throw new IllegalArgumentException("'%s' is more than 8 EiB".formatted(text));
        }
        String fraction = decimal.group(2);
        return (whole << shift)
                + (fraction == null ? 0 : (long) (Double.parseDouble(fraction) * (1L << shift)));
    }
}
