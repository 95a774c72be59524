package dev.lockstep.block.graph;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.Set;

/// A device that can have a request under way while the thread that began it does something else,
/// as one with a remote peer can. A parent with several children then needs no thread for each.
///
/// Beginning a request never fails and never blocks for long: what goes wrong is thrown by
/// [Pending#await].
public interface Startable extends BlockDevice {
    /// The longest zero that is begun at once: NBD's length field ends below 4 GiB.
    long ZERO_BYTES_MAX = 1 << 30;

    /// Begins what [BlockDevice#read] does as a whole; the target's position does not move.
    Pending startRead(long offset, ByteBuffer target);

    /// Begins what [BlockDevice#write] does as a whole.
    Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags);

    /// Begins what [BlockDevice#zero] does as a whole, for at most [#ZERO_BYTES_MAX] and without
    /// [WriteFlag#FAST].
    Pending startZero(long offset, long length, Set<WriteFlag> flags);

    /// Begins what [BlockDevice#flush] does as a whole.
    Pending startFlush();
}
