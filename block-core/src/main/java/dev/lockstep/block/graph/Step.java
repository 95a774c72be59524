package dev.lockstep.block.graph;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.Locale;

/// What a device is about to do with the file below it, so that trouble can be made just there. The
/// names are those of QEMU's `BlkdebugEvent`; [StepObserver] is how they are told.
///
/// Those under "never told" name what this program has no like of. They are known, so that a
/// configuration made for QEMU is read.
public enum Step {
    /// Entries of the L1 table are written.
    L1_UPDATE,
    /// The L1 table has become too short: a longer one gets its place.
    L1_GROW_ALLOC_TABLE,
    /// The longer L1 table is written.
    L1_GROW_WRITE_TABLE,
    /// The header is told of the longer L1 table.
    L1_GROW_ACTIVATE_TABLE,
    /// A part of an L2 table is read.
    L2_LOAD,
    /// Parts of an L2 table are written in their place.
    L2_UPDATE,
    /// A compressed cluster is entered into its L2 table, in memory.
    L2_UPDATE_COMPRESSED,
    /// What an L2 table holds that moves to a new place is read.
    L2_ALLOC_COW_READ,
    /// An L2 table is written to a new place.
    L2_ALLOC_WRITE,
    /// Guest's data is read.
    READ_AIO,
    /// Guest's data is read from the backing image.
    READ_BACKING_AIO,
    /// A compressed cluster is read.
    READ_COMPRESSED,
    /// Guest's data is written.
    WRITE_AIO,
    /// A compressed cluster is written.
    WRITE_COMPRESSED,
    /// Never told: there are no machine states.
    VMSTATE_LOAD,
    /// Never told.
    VMSTATE_SAVE,
    /// What surrounds a write to a new cluster is read.
    COW_READ,
    /// What surrounds a write to a new cluster is written, apart from the write.
    COW_WRITE,
    /// The refcount table is read, when the image is opened.
    REFTABLE_LOAD,
    /// The refcount table has become too short.
    REFTABLE_GROW,
    /// Never told: see the steps of `REFBLOCK_ALLOC`.
    REFTABLE_UPDATE,
    /// A refcount block is read.
    REFBLOCK_LOAD,
    /// Never told: blocks are written as a whole by [#REFBLOCK_UPDATE_PART], which is the step that
    /// QEMU tells too.
    REFBLOCK_UPDATE,
    /// A refcount block is written.
    REFBLOCK_UPDATE_PART,
    /// A refcount block is added.
    REFBLOCK_ALLOC,
    /// Entries of the refcount table for new blocks are written.
    REFBLOCK_ALLOC_HOOKUP,
    /// Never told: a new block is written like any other.
    REFBLOCK_ALLOC_WRITE,
    /// Never told, for the same reason.
    REFBLOCK_ALLOC_WRITE_BLOCKS,
    /// A longer refcount table is written.
    REFBLOCK_ALLOC_WRITE_TABLE,
    /// The header is told of the longer refcount table.
    REFBLOCK_ALLOC_SWITCH_TABLE,
    /// Clusters are allocated.
    CLUSTER_ALLOC,
    /// Room for a compressed cluster is allocated.
    CLUSTER_ALLOC_BYTES,
    /// References to clusters are taken away.
    CLUSTER_FREE,
    /// A flush begins.
    FLUSH_TO_OS,
    /// A flush goes to the disk.
    FLUSH_TO_DISK,
    /// What surrounds the beginning of an unaligned write is read.
    PWRITEV_RMW_HEAD,
    /// It has been read.
    PWRITEV_RMW_AFTER_HEAD,
    /// What surrounds the end of an unaligned write is read.
    PWRITEV_RMW_TAIL,
    /// It has been read.
    PWRITEV_RMW_AFTER_TAIL,
    /// Something is written.
    PWRITEV,
    /// Something is zeroed.
    PWRITEV_ZERO,
    /// The write or zero has ended, whichever way.
    PWRITEV_DONE,
    /// Never told: no image is emptied in place.
    EMPTY_IMAGE_PREPARE,
    /// The end of the L1 table is written with zeroes, since the disk becomes shorter.
    L1_SHRINK_WRITE_TABLE,
    /// The L2 tables are freed that it led to.
    L1_SHRINK_FREE_L2_CLUSTERS,
    /// What was read is kept by a copy-on-read filter.
    COR_WRITE,
    /// The file is made longer.
    CLUSTER_ALLOC_SPACE,
    /// Once, when the observer comes into being.
    NONE;

    /// QEMU's name of it: `l2_load`.
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /// The one of this name, or null.
    public static @Nullable Step of(String label) {
        return Arrays.stream(values())
                .filter(step -> step.label().equals(label))
                .findFirst()
                .orElse(null);
    }
}
