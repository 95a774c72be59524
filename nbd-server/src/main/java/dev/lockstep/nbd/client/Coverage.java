package dev.lockstep.nbd.client;

import java.util.TreeMap;

/// Which bytes of a read have arrived. Chunks may come in any order, but not twice.
final class Coverage {
    /// Chunks in order need one range. A server that scatters them so that more ranges than this
    /// are open at once only wants our memory.
    private static final int RANGES_MAX = 1024;

    /// Start to end of each range, neither overlapping nor touching.
    private final TreeMap<Integer, Integer> ranges = new TreeMap<>();

    private final int length;

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
        int from = (int) start;
        int to = (int) (start + bytes);
        var before = ranges.lowerEntry(to);
        if (before != null && before.getValue() > from) {
            throw new ProtocolException("the byte at +%d of a read was sent twice".formatted(from));
        }
        if (before != null && before.getValue() == from) {
            from = before.getKey();
        }
        Integer after = ranges.remove(to);
        ranges.put(from, after == null ? to : after);
        if (ranges.size() > RANGES_MAX) {
            throw new ProtocolException("a read is answered in too many scattered chunks");
        }
    }

    boolean isComplete() {
        Integer end = ranges.get(0);
        return end != null && end == length;
    }
}
