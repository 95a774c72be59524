package dev.lockstep.block.qcow2.table;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// Where the metadata of an image lies, as good as all L2 tables: the guest's data never lies
/// there, and nothing new is put there, whatever a damaged image says of its refcounts and
/// mappings.
///
/// Safe for use by several threads.
final class MetadataPlaces {
    /// All refcount blocks, and the L2 tables that were read or made, by cluster.
    private final Set<Long> clusters = ConcurrentHashMap.newKeySet();

    private volatile List<HostRange> fixed = List.of();

    /// Says where the header is and the tables that it tells of.
    void fixed(List<HostRange> tables) {
        fixed = List.copyOf(tables);
    }

    /// Says that an L2 table or a refcount block is in a cluster.
    void add(long cluster) {
        clusters.add(cluster);
    }

    /// Says that nothing is in a cluster any more.
    void remove(long cluster) {
        clusters.remove(cluster);
    }

    /// Whether the header, or a table that it tells of, is in a cluster.
    boolean isFixed(long cluster) {
        return touchesFixed(cluster, 1);
    }

    private boolean touchesFixed(long first, long count) {
        for (HostRange range : fixed) {
            if (first < range.end() && range.cluster() < first + count) {
                return true;
            }
        }
        return false;
    }

    /// Whether metadata is in one of some clusters.
    boolean touches(long first, long count) {
        if (touchesFixed(first, count)) {
            return true;
        }
        for (long cluster = first; cluster < first + count; cluster++) {
            if (clusters.contains(cluster)) {
                return true;
            }
        }
        return false;
    }
}
