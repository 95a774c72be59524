package dev.lockstep.block.copy;

import dev.lockstep.block.graph.Gate;

/// How the requests of a copy are shared among its workers.
///
/// Where an end can have requests under way by itself ([Gate#beginsRequests]), a few workers keep
/// several there each: they read ahead, and write behind. Then a worker mostly finds what it awaits
/// done, and is not woken for each request. Elsewhere a worker has one, and there are as many
/// workers as requests. So it is too where the sink wants its turns in order: a worker that had
/// taken the next few pieces would do one after the other while all others wait.
///
/// @param count how many workers
/// @param reads how many reads each of them has begun; 1 where a read is done in one call
/// @param writes how many writes each of them has begun and not awaited
record Lanes(int count, int reads, int writes) {
    /// Enough to keep both ends busy while some of them wait.
    private static final int COUNT = 4;

    static Lanes of(int requests, Gate source, Sink sink) {
        boolean ahead = source.beginsRequests();
        boolean behind = sink.beginsRequests();
        if (sink.isOrdered() || !(ahead || behind)) {
            return new Lanes(requests, 1, 0);
        }
        int count = Math.min(requests, COUNT);
        int each = requests / count;
        int reads = !ahead ? 1 : behind ? (each + 1) / 2 : each;
        return new Lanes(count, reads, behind ? each - reads : 0);
    }

    /// Few workers that wait in system calls are best on threads of their own.
    Thread.Builder threads() {
        return count <= COUNT ? Thread.ofPlatform() : Thread.ofVirtual();
    }
}
