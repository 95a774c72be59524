package dev.lockstep.block.file;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/// Who shares which sync.
class FlusherTest {
    @Test
    void flushes_that_come_during_a_sync_share_the_next_one() throws Exception {
        AtomicInteger begun = new AtomicInteger();
        Semaphore mayEnd = new Semaphore(0);
        Flusher flusher =
                new Flusher(
                        () -> {
                            begun.incrementAndGet();
                            mayEnd.acquireUninterruptibly();
                            return null;
                        });
        List<Thread> flushes = new ArrayList<>();
        flushes.add(flushIn(flusher));
        await().until(() -> begun.get() == 1);
        for (int index = 0; index < 5; index++) {
            flushes.add(flushIn(flusher));
        }
        await().until(
                        () ->
                                flushes.stream()
                                        .skip(1)
                                        .allMatch(
                                                thread ->
                                                        thread.getState() == Thread.State.WAITING));
        mayEnd.release();
        await().until(() -> begun.get() == 2);
        flushes.getFirst().join();
        assertTrue(flushes.stream().skip(1).allMatch(Thread::isAlive), "none took the first sync");
        mayEnd.release();
        for (Thread flush : flushes) {
            flush.join();
        }
        assertEquals(2, begun.get());
    }

    @Test
    void a_failed_sync_is_never_forgotten() {
        AtomicInteger begun = new AtomicInteger();
        Flusher flusher =
                new Flusher(
                        () -> {
                            if (begun.getAndIncrement() == 0) {
                                throw new BlockException(Kind.IO, "file a: flush: bad luck");
                            }
                            return null;
                        });
        for (int attempt = 0; attempt < 3; attempt++) {
            BlockException thrown = assertThrows(BlockException.class, flusher::flush);
            assertEquals(Kind.IO, thrown.kind());
            assertTrue(thrown.toString().contains("file a: flush: bad luck"), thrown.toString());
        }
        assertEquals(1, begun.get());
    }

    @Test
    void a_sync_that_breaks_leaves_nobody_waiting() {
        Flusher flusher =
                new Flusher(
                        () -> {
                            throw new IllegalStateException("a bug");
                        });
        assertThrows(IllegalStateException.class, flusher::flush);
        assertThrows(BlockException.class, flusher::flush);
    }

    private static Thread flushIn(Flusher flusher) {
        return Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                flusher.flush();
                            } catch (BlockException e) {
                                throw new AssertionError(e);
                            }
                        });
    }
}
