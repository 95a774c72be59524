package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.DefaultEventLoop;
import io.netty.channel.EventLoop;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/// Who goes on when.
class TurnsTest {
    private static final int LONG = 256 << 10;

    private final Queue<String> played = new ConcurrentLinkedQueue<>();
    private final Turns turns = new Turns();
    private final Named greedy = new Named("greedy");
    private final Named modest = new Named("modest");
    private final EventLoop loop = new DefaultEventLoop();

    @AfterEach
    void stop() {
        loop.shutdownGracefully();
    }

    private final class Named implements Turns.Player {
        private final String name;

        Named(String name) {
            this.name = name;
        }

        @Override
        public void play() {
            played.add(name);
        }
    }

    private void assertShort(Turns.Player player) {
        assertTrue(turns.isSpent(player, Turns.SHORT_BYTES));
        assertEquals(Turns.SHORT_BYTES, turns.pieceBytes(player));
    }

    private void assertLong(Turns.Player player) {
        assertFalse(turns.isSpent(player, LONG - 1));
        assertTrue(turns.isSpent(player, LONG));
        assertEquals(InlineIo.PIECE_BYTES, turns.pieceBytes(player));
    }

    @Test
    void a_connection_that_is_alone_has_long_turns_even_if_it_rests_now_and_then() {
        assertLong(greedy);
        turns.ended(greedy, false);
        turns.ended(greedy, true);
        assertLong(greedy);
    }

    @Test
    void turns_are_short_while_another_connection_is_about_that_asks_for_little() {
        turns.ended(modest, true);
        assertShort(greedy);
        turns.ended(greedy, true);
        assertShort(greedy);
        assertShort(modest);
    }

    @Test
    void greedy_connections_among_themselves_have_long_turns() {
        turns.ended(greedy, false);
        turns.ended(modest, false);
        assertLong(greedy);
        assertLong(modest);
    }

    @Test
    void who_was_not_seen_for_many_turns_is_forgotten() {
        turns.ended(modest, true);
        int remembered = 0;
        while (turns.isSpent(greedy, LONG - 1)) {
            turns.ended(greedy, remembered % 2 == 0);
            remembered++;
        }
        assertEquals(64, remembered);
    }

    @Test
    void connections_go_on_in_the_order_in_which_they_queued_up() {
        loop.execute(
                () -> {
                    turns.await(greedy, loop);
                    turns.await(modest, loop);
                    turns.await(greedy, loop);
                });
        await().until(() -> List.copyOf(played).equals(List.of("greedy", "modest", "greedy")));
    }

    @Test
    void a_turn_that_fails_does_not_keep_the_others_from_theirs() {
        loop.execute(
                () -> {
                    turns.await(
                            () -> {
                                throw new IllegalStateException("a test's failure");
                            },
                            loop);
                    turns.await(modest, loop);
                });
        await().until(() -> played.contains("modest"));
    }
}
