package dev.lockstep.block.filter.throttle;

/// How much there may be a second.
///
/// @param average in the long run, a second; 0 is without limit
/// @param burst as long as a burst lasts, a second; 0 if there are no bursts
/// @param burstSeconds how long a burst from rest may last
public record Rate(long average, long burst, long burstSeconds) {
    /// No limit.
    public static final Rate UNLIMITED = new Rate(0, 0, 1);

    /// More than any device does, and little enough to calculate with.
    public static final long MAX = 1_000_000_000_000_000L;

    /// Checks that the numbers go together.
    ///
    /// @throws IllegalArgumentException if they do not, with one sentence
    public Rate {
        if (average < 0 || average > MAX || burst < 0 || burst > MAX) {
            throw new IllegalArgumentException("a rate is a number from 0 to %d".formatted(MAX));
        }
        if (burst > 0 && burst < average) {
            throw new IllegalArgumentException("the rate of a burst is less than the average");
        }
        if (burst > 0 && average == 0) {
            throw new IllegalArgumentException("a burst needs an average rate as well");
        }
        if (burstSeconds < 1 || (burst == 0 && burstSeconds > 1)) {
            throw new IllegalArgumentException(
                    "the length of a burst is a number of seconds, and needs its rate as well");
        }
        if (burst > 0 && burstSeconds > MAX / burst) {
            throw new IllegalArgumentException("the bursts are too long");
        }
    }

    /// Whether there is a limit.
    public boolean isLimited() {
        return average > 0;
    }
}
