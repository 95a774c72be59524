package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/// The first command of the README.
class DemoIT {
    @Test
    void the_demo_tells_the_whole_story_and_verifies_every_byte() {
        Peer.Result demo = Lockstep.run("demo").expectSuccess();
        assertEquals("", demo.errors());
    }
}
