package dev.lockstep.block.qcow2;

import java.util.Arrays;
import java.util.Random;

/// Whole images: whatever the bytes are, opening, reading and changing them ends soon and harms
/// nobody.
final class ImageFuzz {
    private ImageFuzz() {}

    /// What Jazzer calls.
    public static void fuzzerTestOneInput(byte[] input) {
        new Prober(input, null).probe(new Random(Arrays.hashCode(input)));
    }
}
