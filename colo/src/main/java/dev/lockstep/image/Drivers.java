package dev.lockstep.image;

import dev.lockstep.block.filter.blkdebug.BlkdebugOpener;
import dev.lockstep.block.filter.blklogwrites.BlklogwritesOpener;
import dev.lockstep.block.filter.blkverify.BlkverifyOpener;
import dev.lockstep.block.filter.copybeforewrite.CopyBeforeWriteOpener;
import dev.lockstep.block.filter.delay.DelayOpener;
import dev.lockstep.block.filter.preallocate.PreallocateOpener;
import dev.lockstep.block.filter.snapshotaccess.SnapshotAccessOpener;
import dev.lockstep.block.filter.throttle.ThrottleOpener;
import dev.lockstep.block.open.Registry;
import dev.lockstep.nbd.client.NbdOpener;

/// The drivers of this program.
public final class Drivers {
    private Drivers() {}

    /// All of them, where no objects were defined that they could name.
    public static Registry all() {
        return all(UserObjects.NONE);
    }

    /// All of them; images may name others with every text that [ImageText] reads.
    ///
    /// @param objects what options may name
    public static Registry all(UserObjects objects) {
        return Registry.ofCore()
                .with("nbd", new NbdOpener(objects::findCredentials))
                .with("blkdebug", BlkdebugOpener::read)
                .with("blklogwrites", BlklogwritesOpener::read)
                .with("blkverify", BlkverifyOpener::read)
                .with("copy-before-write", CopyBeforeWriteOpener::read)
                .with("delay", DelayOpener::read)
                .with("preallocate", PreallocateOpener::read)
                .with("snapshot-access", SnapshotAccessOpener::read)
                .with("throttle", new ThrottleOpener(objects::findThrottleGroup))
                .with(ImageText::parse);
    }
}
