package dev.lockstep.block;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// A row of bytes of fixed length that can be read and written at any position.
///
/// **Positions.** Every call names its position; a device has no cursor. Callers reach a device
/// through a [dev.lockstep.block.graph.Gate], which guarantees that a range lies within `[0,
/// size())`, is a multiple of [Capabilities#alignment] at both ends, is not empty, and that a
/// writing call is permitted. An implementation does not check these again.
///
/// **Buffers.** They may be direct or on the heap (direct ones are faster on files and sockets). A
/// call uses the bytes between position and limit; on success the position is at the limit, on
/// failure it is undefined and so are the bytes of a read's target. A buffer belongs to the device
/// until the call returns.
///
/// **Durability.** A write, zero or discard that returned is visible to every later read and is
/// durable once a [#flush] that was called after its return has returned, or on its own return with
/// [WriteFlag#FUA].
///
/// **Threads.** All methods may be called by any number of threads at once. Two overlapping
/// requests in flight have no order; each byte then holds what one of them wrote. The blocking
/// calls belong on virtual threads; an implementation that makes a system call which can block for
/// long hands it to the I/O pool and parks, because a native call pins the carrier.
public interface BlockDevice extends Closeable {
    /// Says in a few words what this is and where, for people: `file disk.raw`. It opens every
    /// error.
    String description();

    /// The length in bytes. It does not change while the device is open, unless the device is a
    /// [dev.lockstep.block.graph.Resizable] and is told so.
    long size();

    /// What this device does by itself. The answer is the same for the device's lifetime.
    Capabilities capabilities();

    /// Fills exactly the buffer's remaining bytes from `offset` on.
    ///
    /// @throws BlockException if any byte could not be read
    void read(long offset, ByteBuffer target) throws BlockException;

    /// Writes all of the buffer's remaining bytes at `offset`.
    ///
    /// @param flags [WriteFlag#FUA] or nothing
    /// @throws BlockException if any byte may not have been written; each byte of the range then
    ///     holds its old or its new value
    void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException;

    /// Makes `[offset, offset + length)` read as zeroes.
    ///
    /// @param flags any of [WriteFlag]; with [WriteFlag#FAST] the call fails with
    ///     [BlockException.Kind#UNSUPPORTED] at once, having changed nothing, where it would not be
    ///     faster than writing zeroes
    void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException;

    /// Says that the contents of `[offset, offset + length)` are no longer needed. What is read
    /// there until the next write is unspecified, but it is bytes that this device held there or
    /// zeroes. A device may do nothing.
    void discard(long offset, long length) throws BlockException;

    /// Returns when every write, zero and discard that returned before this call is on stable
    /// storage.
    ///
    /// @throws BlockException if one of them may not be; a device that fails once fails every later
    ///     flush too, until it is repaired or reopened
    void flush() throws BlockException;

    /// Tells what `[offset, offset + length)` is made of: at least one extent, the first beginning
    /// at `offset`, each beginning where the one before ends, none empty, the last ending at or
    /// before `offset + length`. It may stop short of the end; ask again from there.
    List<Extent> extents(long offset, long length) throws BlockException;

    /// Reads like [#read] if that is possible without blocking.
    ///
    /// @return false if it was not, which says nothing about the range; the target's bytes are then
    ///     undefined and its position is unchanged
    /// @throws BlockException as [#read]; throwing instead of answering false is never required
    default boolean readNow(long offset, ByteBuffer target) throws BlockException {
        return false;
    }

    /// Writes like [#write] without flags if that is possible without blocking.
    ///
    /// @return false if it was not; the device and the source's position are then unchanged
    /// @throws BlockException as [#write]; throwing instead of answering false is never required
    default boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        return false;
    }

    /// Releases what the device holds, without flushing. Calling it again does nothing. No request
    /// is in flight when it is called, and none follows. It does not close the device's children:
    /// who opened them closes them.
    @Override
    void close() throws BlockException;
}
