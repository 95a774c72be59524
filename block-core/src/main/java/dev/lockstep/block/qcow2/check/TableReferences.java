package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.MemoryBudget;

import java.util.Arrays;
import java.util.BitSet;

/// Which clusters L1 entries take for L2 tables, and how many entries do.
final class TableReferences {
    /// Cluster numbers have at most 47 bits: an entry's offset has 56, and a cluster 9.
    private static final int WEIGHT_BITS = 16;

    private static final int WEIGHT_MAX = (1 << WEIGHT_BITS) - 1;

    private final MemoryBudget budget;

    /// Cluster number and weight; after [#merge] sorted, each cluster once, with its weight apart.
    private long[] words = new long[1024];

    private long[] weights = new long[0];
    private int size;
    private final BitSet visited = new BitSet();

    TableReferences(MemoryBudget budget) {
        this.budget = budget;
    }

    void add(long cluster, long weight) throws BlockException {
        for (long rest = weight; rest > 0; rest -= WEIGHT_MAX) {
            if (size == words.length) {
                budget.take((long) size * Long.BYTES);
                words = Arrays.copyOf(words, 2 * size);
            }
            words[size++] = cluster << WEIGHT_BITS | Math.min(rest, WEIGHT_MAX);
        }
    }

    void merge() throws BlockException {
        Arrays.sort(words, 0, size);
        budget.take((long) size * Long.BYTES);
        weights = new long[size];
        int merged = -1;
        for (int index = 0; index < size; index++) {
            long word = words[index];
            long cluster = word >>> WEIGHT_BITS;
            if (merged < 0 || words[merged] != cluster) {
                words[++merged] = cluster;
            }
            weights[merged] += word & WEIGHT_MAX;
        }
        size = merged + 1;
    }

    int size() {
        return size;
    }

    long cluster(int index) {
        return words[index];
    }

    long weight(int index) {
        return weights[index];
    }

    /// The index of a cluster, or a negative number if no entry refers to it.
    int find(long cluster) {
        return Arrays.binarySearch(words, 0, size, cluster);
    }

    /// Notes a visit, and tells whether it is the first.
    boolean visit(int index) {
        boolean first = !visited.get(index);
        visited.set(index);
        return first;
    }
}
