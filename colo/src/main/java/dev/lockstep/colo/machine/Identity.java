package dev.lockstep.colo.machine;

import java.util.ArrayList;
import java.util.List;

/// Which history of which pair a disk holds.
///
/// `generation` is drawn whenever a disk begins a history that its peer may not share: at a join
/// that is not a resume, when a primary goes on alone, at a failover. `ancestors` are the
/// generations before it, newest first. `epoch` counts checkpoints and never goes back.
public record Identity(Nonce pair, Nonce generation, List<Nonce> ancestors, long epoch) {
    /// 64 ancestors of 16 bytes are 1 KiB of record. A peer that missed more than 64 failovers is
    /// unknown to us, and is refused like a stranger.
    public static final int ANCESTORS_MAX = 64;

    public Identity {
        ancestors = List.copyOf(ancestors);
        if (ancestors.size() > ANCESTORS_MAX) {
            throw new IllegalArgumentException("more than %d ancestors".formatted(ANCESTORS_MAX));
        }
        if (epoch < 0) {
            throw new IllegalArgumentException("negative epoch " + epoch);
        }
    }

    /// The identity of a disk that was never in a pair: its first generation names the pair too.
    public static Identity first(Nonce generation) {
        return new Identity(generation, generation, List.of(), 0);
    }

    /// This history goes its own way under a new generation.
    public Identity branch(Nonce next) {
        List<Nonce> line = new ArrayList<>(ancestors.size() + 1);
        line.add(generation);
        line.addAll(ancestors);
        return new Identity(
                pair, next, line.subList(0, Math.min(line.size(), ANCESTORS_MAX)), epoch);
    }

    /// The same history at another checkpoint.
    public Identity at(long otherEpoch) {
        return new Identity(pair, generation, ancestors, otherEpoch);
    }

    /// Whether everything that `other` names happened before or within this history.
    public boolean contains(Identity other) {
        return pair.equals(other.pair)
                && (generation.equals(other.generation) || ancestors.contains(other.generation));
    }

    /// Whether `other` names an earlier history from which this one went its own way.
    public boolean descendsFrom(Identity other) {
        return pair.equals(other.pair) && ancestors.contains(other.generation);
    }
}
