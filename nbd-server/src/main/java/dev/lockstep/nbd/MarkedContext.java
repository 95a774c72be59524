package dev.lockstep.nbd;

import java.util.ArrayList;
import java.util.List;

/// A context with one flag.
record MarkedContext(String name, MarkedBytes marked) implements MetaContext {
    private static final long MARKED = 1;

    /// A list of 4096 stretches is about 100 KiB; the next question goes on from there.
    private static final int STATUSES_MAX = 4096;

    @Override
    public List<Status> statuses(long offset, long length) {
        List<Status> found = new ArrayList<>();
        long end = offset + length;
        for (long at = offset; at < end && found.size() < STATUSES_MAX; ) {
            long firstMarked = marked.nextMarked(at);
            boolean isMarked = firstMarked == at;
            // A bit may change between the two questions, so the stretch may come out empty.
            long next = Math.min(end, isMarked ? marked.nextUnmarked(at) : firstMarked);
            if (next > at) {
                found.add(new Status(next - at, isMarked ? MARKED : 0));
                at = next;
            }
        }
        return found;
    }

    /// A block is marked if any byte of it is.
    @Override
    public long mixed(long one, long other) {
        return one | other;
    }
}
