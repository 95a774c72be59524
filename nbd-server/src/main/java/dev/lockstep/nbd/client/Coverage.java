package dev.lockstep.nbd.client;

import org.jspecify.annotations.Nullable;

import java.util.TreeMap;

/// Which bytes of a read have arrived. Chunks may come in any order, but not twice.
final class Coverage {
    /// A server that scatters its chunks so that more ranges than this are open at once only wants
    /// our memory.
    private static final int RANGES_MAX = 1024;

    private final int length;

    /// While chunks come in order: everything before this has arrived.
    private int prefix;

    /// Once they do not: start to end of each range, neither overlapping nor touching.
    private @Nullable TreeMap<Integer, Integer> scattered;

    Coverage(int length) {
        this.length = length;
    }

    /// Adds a chunk.
    ///
    /// @throws ProtocolException if it is empty, ends beyond the read, or was sent before
    void add(long start, long bytes) throws ProtocolException {
        if (bytes <= 0 || start < 0 || start > length - bytes) {
            throw new ProtocolException(
                    "a chunk of %d bytes at %+d in the reply to a read of %d"
                            .formatted(bytes, start, length));
        }
        if (scattered == null && start == prefix) {
            prefix += (int) bytes;
        } else {
            addScattered((int) start, (int) (start + bytes));
        }
    }

    private void addScattered(int start, int end) throws ProtocolException {
        TreeMap<Integer, Integer> ranges = scattered;
        if (ranges == null) {
            ranges = new TreeMap<>();
            scattered = ranges;
            if (prefix > 0) {
                ranges.put(0, prefix);
            }
        }
        var before = ranges.lowerEntry(end);
        if (before != null && before.getValue() > start) {
            throw new ProtocolException(
                    "the byte at %+d of a read was sent twice".formatted(start));
        }
        boolean touches = before != null && before.getValue() == start;
        Integer after = ranges.remove(end);
        ranges.put(touches ? before.getKey() : start, after == null ? end : after);
        if (ranges.size() > RANGES_MAX) {
            throw new ProtocolException("a read is answered in too many scattered chunks");
        }
    }

    boolean isComplete() {
        if (scattered == null) {
            return prefix == length;
        }
        Integer end = scattered.get(0);
        return end != null && end == length;
    }
}
