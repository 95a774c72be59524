package dev.lockstep.block.quorum;

import dev.lockstep.block.Extent;
import dev.lockstep.block.Extent.Kind;

import java.util.ArrayList;
import java.util.List;

/// What two copies of a disk say together about where there is data.
final class ExtentVote {
    private ExtentVote() {}

    /// What both say: a stretch is zero only if it is in both, and a hole only if it is one in
    /// both. Ends where the shorter answer does.
    static List<Extent> agree(List<Extent> left, List<Extent> right) {
        List<Extent> agreed = new ArrayList<>();
        int a = 0;
        int b = 0;
        while (a < left.size() && b < right.size()) {
            Extent one = left.get(a);
            Extent other = right.get(b);
            long start = Math.max(one.offset(), other.offset());
            long end = Math.min(one.end(), other.end());
            agreed.add(Extent.of(start, end - start, agree(one.kind(), other.kind())));
            a += one.end() == end ? 1 : 0;
            b += other.end() == end ? 1 : 0;
        }
        return agreed;
    }

    private static Kind agree(Kind one, Kind other) {
        if (one == other) {
            return one;
        }
        return one == Kind.DATA || other == Kind.DATA ? Kind.DATA : Kind.ZERO;
    }
}
