package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.Fuzzing;

import org.junit.jupiter.api.Test;

class LayoutFuzzTest {
    @Test
    void no_header_or_table_does_harm() throws Exception {
        Fuzzing.run(
                "dev.lockstep.block.qcow2.layout.LayoutFuzz",
                "dev.lockstep.block.qcow2.layout.**",
                2048);
    }
}
