package dev.lockstep.block;

/// Where the seed of a randomised test comes from. A failing test prints its seed; running it again
/// with the environment variable or property `LOCKSTEP_SEED` set to that seed replays its choices.
public final class Seeds {
    private Seeds() {}

    /// Returns a fresh seed, or the one to replay, and prints it.
    public static long next(String test) {
        String replay = System.getProperty("LOCKSTEP_SEED", System.getenv("LOCKSTEP_SEED"));
        long seed = replay == null ? System.nanoTime() : Long.parseLong(replay);
        System.out.printf("%s: LOCKSTEP_SEED=%d%n", test, seed);
        return seed;
    }
}
