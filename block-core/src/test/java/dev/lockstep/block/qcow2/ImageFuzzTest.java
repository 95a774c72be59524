package dev.lockstep.block.qcow2;

import dev.lockstep.block.Fuzzing;

import org.junit.jupiter.api.Test;

class ImageFuzzTest {
    @Test
    void no_image_does_harm() throws Exception {
        Fuzzing.run("dev.lockstep.block.qcow2.ImageFuzz", "dev.lockstep.block.qcow2.**", 8192);
    }
}
