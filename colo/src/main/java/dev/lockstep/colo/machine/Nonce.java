package dev.lockstep.colo.machine;

import java.util.HexFormat;

/// 128 random bits that name something once: a pair, a generation, a session, a process.
///
/// Never drawn in this package: each arrives with a [Moment].
public record Nonce(long high, long low) {
    private static final int HEX_DIGITS = 32;
    private static final int HEX_DIGITS_HALF = 16;

    /// Reads what [#toString] writes.
    public static Nonce parse(String hex) {
        if (hex.length() != HEX_DIGITS) {
            throw new IllegalArgumentException("expected 32 hexadecimal digits, not '" + hex + "'");
        }
        return new Nonce(
                HexFormat.fromHexDigitsToLong(hex, 0, HEX_DIGITS_HALF),
                HexFormat.fromHexDigitsToLong(hex, HEX_DIGITS_HALF, HEX_DIGITS));
    }

    /// 32 lower-case hexadecimal digits.
    @Override
    public String toString() {
        HexFormat hex = HexFormat.of();
        return hex.toHexDigits(high) + hex.toHexDigits(low);
    }
}
