package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.util.NavigableMap;
import java.util.TreeMap;

/// A number for each cluster of the file, unsigned. Pages without one that is not 0 take no memory.
public final class Counts {
    private static final int PAGE_BITS = 12;

    /// How many clusters a page tells of.
    public static final int PAGE_CLUSTERS = 1 << PAGE_BITS;

    private static final int NARROW_MAX = 255;

    /// What a page costs beside its numbers, roughly.
    private static final int OVERHEAD_BYTES = 96;

    private final MemoryBudget budget;
    private final NavigableMap<Long, Page> pages = new TreeMap<>();
    private @Nullable Page last;

    /// The page that was looked for last and is not there, or -1.
    private long absent = -1;

    /// Bytes suffice almost always; the first number that does not fit makes the page wide.
    private static final class Page {
        final long number;
        byte[] narrow = new byte[PAGE_CLUSTERS];
        long @Nullable [] wide;

        Page(long number) {
            this.number = number;
        }

        long get(int index) {
            return wide == null ? Byte.toUnsignedLong(narrow[index]) : wide[index];
        }
    }

    /// All are 0.
    public Counts(MemoryBudget budget) {
        this.budget = budget;
    }

    /// The number of a cluster.
    public long get(long cluster) {
        Page page = page(cluster >> PAGE_BITS);
        return page == null ? 0 : page.get(index(cluster));
    }

    /// Sets it.
    public void set(long cluster, long count) throws BlockException {
        Page page = page(cluster >> PAGE_BITS);
        if (page == null) {
            if (count == 0) {
                return;
            }
            budget.take(PAGE_CLUSTERS + OVERHEAD_BYTES);
            page = new Page(cluster >> PAGE_BITS);
            pages.put(page.number, page);
            last = page;
            absent = -1;
        }
        if (page.wide == null && Long.compareUnsigned(count, NARROW_MAX) > 0) {
            widen(page);
        }
        if (page.wide == null) {
            page.narrow[index(cluster)] = (byte) count;
        } else {
            page.wide[index(cluster)] = count;
        }
    }

    /// Adds to it.
    public void add(long cluster, long more) throws BlockException {
        Page page = page(cluster >> PAGE_BITS);
        if (page != null && page.wide == null) {
            int index = index(cluster);
            long count = Byte.toUnsignedLong(page.narrow[index]) + more;
            if (count >= 0 && count <= NARROW_MAX) {
                page.narrow[index] = (byte) count;
                return;
            }
        }
        set(cluster, get(cluster) + more);
    }

    /// The first cluster of the first page that ends after `cluster` and is there, or -1.
    public long nextPage(long cluster) {
        Long number = pages.ceilingKey(cluster >> PAGE_BITS);
        return number == null ? -1 : number << PAGE_BITS;
    }

    private void widen(Page page) throws BlockException {
        budget.take((long) PAGE_CLUSTERS * Long.BYTES);
        long[] wide = new long[PAGE_CLUSTERS];
        for (int index = 0; index < PAGE_CLUSTERS; index++) {
            wide[index] = Byte.toUnsignedLong(page.narrow[index]);
        }
        page.wide = wide;
        page.narrow = new byte[0];
    }

    private @Nullable Page page(long number) {
        if (last == null || last.number != number) {
            Page found = number == absent ? null : pages.get(number);
            if (found == null) {
                absent = number;
                return null;
            }
            last = found;
        }
        return last;
    }

    private static int index(long cluster) {
        return (int) cluster & (PAGE_CLUSTERS - 1);
    }
}
