package dev.lockstep.nbd.fuzz;

import dev.lockstep.block.Fuzzing;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FuzzTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "dev.lockstep.nbd.CodecFuzz",
                "dev.lockstep.nbd.server.ServerFuzz",
                "dev.lockstep.nbd.client.ClientFuzz"
            })
    void no_bytes_do_harm(String target) throws Exception {
        Fuzzing.run(target, "dev.lockstep.nbd.**", 2048);
    }
}
