package dev.lockstep.nbd.server;

import io.netty.channel.EventLoop;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;

/// Who goes on when, among the connections of one loop: those that have done all they may in one
/// turn queue up here. Confined to the loop's thread.
///
/// A connection that always leaves work undone could have the loop to itself, and one that has a
/// single request in flight would wait for each of its replies until all the others had their turn.
/// So there are two ways of going on.
///
/// - **Among themselves** the greedy ones take long turns, several in a row before the loop looks
///   at its sockets. A loop runs the tasks that tasks add before it looks, which is the cheapest
///   way to go on; looking each time costs a quarter of the rate at 1 MiB.
/// - **While others are about** who ended a turn with nothing left to do, turns are short, and the
///   sockets come first after every single one. So who asks for little waits for one short turn at
///   most, however many are greedy; and these are not starved, since what anybody may do before
///   they go on is less than a turn of theirs.
final class Turns {
    /// What one connection may do in a turn, some 100 us: more would not stay in the core's cache.
    private static final int LONG_BYTES = 256 << 10;

    /// The same while others are about, some 20 us: as long as it takes to look at the sockets ten
    /// times.
    static final int SHORT_BYTES = 64 << 10;

    /// Long turns before the loop looks at its sockets.
    private static final int LONG_IN_A_ROW = 4;

    /// Who was seen is about for so many turns of anybody: a few milliseconds, so that a client
    /// that thinks between two requests is not forgotten meanwhile.
    private static final int REMEMBERED_TURNS = 64;

    /// One that waits for its next turn.
    interface Player {
        void play();
    }

    private final ArrayDeque<Player> queue = new ArrayDeque<>();
    private boolean scheduled;
    private int inARow;

    private long turn;

    /// Who was seen last, until when it is about, and until when anybody else is.
    private @Nullable Player seen;

    private long aboutUntil;
    private long othersAboutUntil;

    /// Whether `player` has done all it may in one turn.
    boolean isSpent(Player player, int bytes) {
        return bytes >= SHORT_BYTES && (bytes >= LONG_BYTES || isInCompany(player));
    }

    /// The most that `player` does in one piece.
    int pieceBytes(Player player) {
        return isInCompany(player) ? SHORT_BYTES : InlineIo.PIECE_BYTES;
    }

    /// The turn of `player` is over.
    ///
    /// @param idle whether it has nothing left to do
    void ended(Player player, boolean idle) {
        turn++;
        if (idle) {
            if (!player.equals(seen)) {
                seen = player;
                othersAboutUntil = aboutUntil;
            }
            aboutUntil = turn + REMEMBERED_TURNS;
        }
    }

    /// Queues `player` up for its next turn.
    void await(Player player, EventLoop loop) {
        queue.add(player);
        schedule(loop);
    }

    /// Whether somebody else is about who asks for little.
    private boolean isInCompany(Player player) {
        return turn < (player.equals(seen) ? othersAboutUntil : aboutUntil);
    }

    private void schedule(EventLoop loop) {
        @Nullable Player next = queue.peek();
        if (scheduled || next == null) {
            return;
        }
        scheduled = true;
        if (isInCompany(next) || ++inARow % LONG_IN_A_ROW == 0) {
            loop.schedule(() -> play(loop), 0, TimeUnit.NANOSECONDS);
        } else {
            loop.execute(() -> play(loop));
        }
    }

    private void play(EventLoop loop) {
        scheduled = false;
        try {
            queue.remove().play();
        } finally {
            schedule(loop);
        }
    }
}
