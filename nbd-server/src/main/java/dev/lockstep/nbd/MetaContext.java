package dev.lockstep.nbd;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;

import java.util.List;

/// Something that BLOCK_STATUS can tell about every byte of an export; a client asks for it by its
/// name. An export offers a list of them ([Export#contexts]).
///
/// | name | flags of an extent |
/// |---|---|
/// | `base:allocation` | 1: not allocated; 2: reads as zeroes |
/// | `qemu:allocation-depth` | 0: no layer has it; 1: the device itself; 2: its backing; ... |
/// | `qemu:dirty-bitmap:NAME` | 1: changed since the bitmap was begun |
/// | `x-lockstep:replication` | 1: the peer may lack it; 0: it is on stable storage on both sides |
///
/// Queries of LIST_META_CONTEXT match a name exactly or, with a colon at their end, all names that
/// begin with them; those of SET_META_CONTEXT match exactly.
public interface MetaContext {
    /// A stretch that is alike throughout.
    ///
    /// @param length in bytes, at least 1
    /// @param flags what is true of it, as the context defines them
    record Status(long length, long flags) {}

    /// Namespace, colon and leaf: `base:allocation`.
    String name();

    /// Whether flags may need more than 32 bits. Only clients with extended headers are offered
    /// such a context.
    default boolean isWide() {
        return false;
    }

    /// Tells what `[offset, offset + length)` is like: at least one stretch, the first beginning at
    /// `offset`, each where the one before ends. The last may go beyond the range. It may stop
    /// short of the end, and does so before the list becomes large; ask again from there.
    ///
    /// @param length at least 1; the range lies within the export
    List<Status> statuses(long offset, long length) throws BlockException;

    /// What is true of a block of which one part has one's flags and the rest the other's, where a
    /// client takes nothing smaller than a block.
    long mixed(long one, long other);

    /// `base:allocation`: what is allocated and what reads as zeroes. A block is either only if all
    /// of it is.
    static MetaContext allocation(Gate root) {
        return new ExtentsContext(
                NbdProtocol.META_BASE_ALLOCATION,
                root,
                ExtentsContext::allocationFlags,
                (one, other) -> one & other);
    }

    /// `qemu:allocation-depth`: which layer of the chain provides the bytes; of a block, the
    /// deepest.
    static MetaContext allocationDepth(Gate root) {
        return new ExtentsContext(
                NbdProtocol.META_QEMU_ALLOCATION_DEPTH,
                root,
                ExtentsContext::depthFlags,
                Math::max);
    }

    /// `qemu:dirty-bitmap:NAME`: what was changed.
    static MetaContext dirtyBitmap(String name, MarkedBytes dirty) {
        return new MarkedContext(NbdProtocol.META_QEMU_DIRTY_BITMAP + name, dirty);
    }

    /// `x-lockstep:replication`: what the peer of a replicated disk may lack, if this side went on
    /// alone from now on: what was written since both sides flushed, or everything as long as the
    /// peer has not been given the whole disk.
    static MetaContext replication(MarkedBytes lacking) {
        return new MarkedContext(NbdProtocol.META_LOCKSTEP_REPLICATION, lacking);
    }
}
