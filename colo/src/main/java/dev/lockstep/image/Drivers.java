package dev.lockstep.image;

import dev.lockstep.block.filter.blkdebug.BlkdebugOpener;
import dev.lockstep.block.filter.blklogwrites.BlklogwritesOpener;
import dev.lockstep.block.filter.blkverify.BlkverifyOpener;
import dev.lockstep.block.filter.copybeforewrite.CopyBeforeWriteOpener;
import dev.lockstep.block.filter.delay.DelayOpener;
import dev.lockstep.block.filter.preallocate.PreallocateOpener;
import dev.lockstep.block.filter.snapshotaccess.SnapshotAccessOpener;
import dev.lockstep.block.filter.throttle.ThrottleGroup;
import dev.lockstep.block.filter.throttle.ThrottleOpener;
import dev.lockstep.block.open.Registry;
import dev.lockstep.nbd.client.NbdOpener;
import dev.lockstep.nbd.tls.TlsCredentials;

import org.jspecify.annotations.Nullable;

import java.util.function.Function;

/// The drivers of this program.
public final class Drivers {
    private Drivers() {}

    /// All of them, where no objects were defined that they could name.
    public static Registry all() {
        return all(_ -> null, _ -> null);
    }

    /// All of them; images may name others with every text that [ImageText] reads.
    ///
    /// @param credentials finds the TLS credentials of a name, or null
    /// @param throttleGroups finds the throttle group of a name, or null
    public static Registry all(
            Function<String, @Nullable TlsCredentials> credentials,
            Function<String, @Nullable ThrottleGroup> throttleGroups) {
        return Registry.ofCore()
                .with("nbd", new NbdOpener(credentials))
                .with("blkdebug", BlkdebugOpener::read)
                .with("blklogwrites", BlklogwritesOpener::read)
                .with("blkverify", BlkverifyOpener::read)
                .with("copy-before-write", CopyBeforeWriteOpener::read)
                .with("delay", DelayOpener::read)
                .with("preallocate", PreallocateOpener::read)
                .with("snapshot-access", SnapshotAccessOpener::read)
                .with("throttle", new ThrottleOpener(throttleGroups))
                .with(ImageText::parse);
    }
}
