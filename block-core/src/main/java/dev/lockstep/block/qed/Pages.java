package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/// The parts of the tables that are in memory. Entries change here first; [#commit] writes them.
final class Pages {
    /// 8 MiB; with clusters of 64 KiB they map 64 GiB.
    private static final int PAGES_MAX = 2048;

    /// Changed pages cannot leave, so some of the room is kept from them.
    private static final int CHANGED_MAX = PAGES_MAX / 2;

    /// Guards: which pages are in `pages`, their changes, `l1` and `l2`.
    private final ReentrantLock lock = new ReentrantLock();

    /// Guards: there is one commit at a time.
    private final ReentrantLock committing = new ReentrantLock();

    private final HostFile file;
    private final Map<Long, Page> pages = new ConcurrentHashMap<>();

    /// What differs from the file, by place: pages of the L1 table, and of L2 tables. Pages stay
    /// here while they are being written.
    private final Map<Long, Page> l1 = new HashMap<>();
    private final Map<Long, Page> l2 = new HashMap<>();

    /// Those that a commit is writing.
    private Set<Page> leaving = Set.of();

    /// Everything is in the file, though perhaps not synced.
    private volatile boolean clean = true;

    Pages(HostFile file) {
        this.file = file;
    }

    /// The entry at a place in the file.
    long entry(long place) throws BlockException {
        return page(place).entry(place);
    }

    /// The page of a place in the file.
    Page page(long place) throws BlockException {
        Page page = pageNow(place);
        return page == null ? load(place & -Page.BYTES) : page;
    }

    /// The same if it is in memory, otherwise null.
    @Nullable Page pageNow(long place) {
        return pages.get(place & -Page.BYTES);
    }

    /// Reads a page that is not there. Others that miss one wait: nobody may bring in what was read
    /// before a change.
    private Page load(long offset) throws BlockException {
        lock.lock();
        try {
            Page there = pages.get(offset);
            if (there != null) {
                return there;
            }
            ByteBuffer content = ByteBuffer.allocate(Page.BYTES);
            file.before(Step.L2_LOAD);
            file.read(offset, content);
            Page page = new Page(offset, content.flip());
            makeRoom();
            pages.put(offset, page);
            return page;
        } finally {
            lock.unlock();
        }
    }

    /// Takes a quarter of the pages out, first those that nobody used lately.
    private void makeRoom() {
        if (pages.size() < PAGES_MAX) {
            return;
        }
        for (int round = 0; round < 2 && pages.size() > PAGES_MAX * 3 / 4; round++) {
            pages.values().removeIf(page -> !page.takeUsed() && canGo(page));
        }
    }

    private boolean canGo(Page page) {
        return !l1.containsKey(page.offset())
                && !l2.containsKey(page.offset())
                && !leaving.contains(page);
    }

    /// Changes an entry of the L1 table.
    void setL1(long place, long value) throws BlockException {
        set(l1, place, value);
    }

    /// Changes an entry of an L2 table.
    void setL2(long place, long value) throws BlockException {
        set(l2, place, value);
    }

    private void set(Map<Long, Page> changed, long place, long value) throws BlockException {
        lock.lock();
        try {
            Page page = page(place);
            clean = false;
            changed.put(page.offset(), page);
            page.entry(place, value);
        } finally {
            lock.unlock();
        }
    }

    /// Whether so much has changed that it is to be written before more does.
    boolean isFull() {
        lock.lock();
        try {
            return l1.size() + l2.size() >= CHANGED_MAX;
        } finally {
            lock.unlock();
        }
    }

    /// Makes all that was written and changed before durable. What an entry leads to is so before
    /// the entry is written.
    void commit() throws BlockException {
        if (clean) {
            file.sync();
            return;
        }
        committing.lock();
        try {
            Map<Page, ByteBuffer> lower = new HashMap<>();
            Map<Page, ByteBuffer> upper = new HashMap<>();
            take(lower, upper);
            boolean done = false;
            try {
                file.sync();
                write(Step.L2_UPDATE, lower);
                write(Step.L1_UPDATE, upper);
                done = true;
            } finally {
                settle(done ? List.of() : upper.keySet(), done ? List.of() : lower.keySet());
            }
        } finally {
            committing.unlock();
        }
    }

    private void take(Map<Page, ByteBuffer> lower, Map<Page, ByteBuffer> upper) {
        lock.lock();
        try {
            l2.values().forEach(page -> lower.put(page, page.copy()));
            l1.values().forEach(page -> upper.put(page, page.copy()));
            l1.clear();
            l2.clear();
            Set<Page> all = new HashSet<>(lower.keySet());
            all.addAll(upper.keySet());
            leaving = all;
        } finally {
            lock.unlock();
        }
    }

    private void write(Step step, Map<Page, ByteBuffer> changed) throws BlockException {
        for (Map.Entry<Page, ByteBuffer> each : changed.entrySet()) {
            file.before(step);
            file.write(each.getKey().offset(), each.getValue());
        }
        if (!changed.isEmpty()) {
            file.sync();
        }
    }

    /// What could not be written goes on being changed.
    private void settle(Collection<Page> upper, Collection<Page> lower) {
        lock.lock();
        try {
            leaving = Set.of();
            upper.forEach(page -> l1.put(page.offset(), page));
            lower.forEach(page -> l2.put(page.offset(), page));
            clean = l1.isEmpty() && l2.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /// Forgets everything, which is in the file.
    void forget() {
        lock.lock();
        try {
            pages.clear();
        } finally {
            lock.unlock();
        }
    }
}
