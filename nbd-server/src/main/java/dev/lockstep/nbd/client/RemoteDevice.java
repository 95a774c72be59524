package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Pending;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Abortable;
import dev.lockstep.block.graph.Startable;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/// The export of an NBD server as a block device.
///
/// Besides the blocking calls there is [#startWrite] and its kin, for a caller that has something
/// else to do while the server works. An interrupt neither ends a call nor is lost; if it comes in
/// the middle of a write to the socket it costs the connection, so do not interrupt threads that
/// are in one.
///
/// **Losing the server.** Without [Patience#reconnectDelay] the first connection that is lost fails
/// the device for good. With it, a lost connection is replaced as soon as the server can be reached
/// again, however late. Meanwhile requests use the other connections, or wait; once none has worked
/// for the delay, requests fail at once until one does. A request that was in flight is sent again
/// by whoever awaits it, where that is safe: `Replay` says what is and why. An export that comes
/// back with another size, or can do less, fails the device for good, and so does a server that
/// breaks the protocol.
public final class RemoteDevice implements Startable, Abortable {
    /// The longest zero, discard or status request with a compact header, whose length ends before
    /// 4 GiB.
    private static final long COMPACT_RANGE_MAX = 1 << 30;

    private final RemoteOptions options;
    private final Connections connections;
    private final RemoteExport export;

    /// The longest zero, discard or status request.
    private final long rangeMax;

    private RemoteDevice(RemoteOptions options, Connections connections) {
        this.options = options;
        this.connections = connections;
        this.export = connections.export();
        this.rangeMax =
                export.headers() == HeaderStyle.EXTENDED
                        ? Long.highestOneBit(Long.MAX_VALUE)
                        : COMPACT_RANGE_MAX;
    }

    /// Connects.
    ///
    /// @param onLoss hears once, on any thread and at once, that the server was lost for good and
    ///     why; not of [#abort] and [#close]. It must not block.
    /// @throws BlockException if the server cannot be reached in time, or refuses
    public static RemoteDevice open(RemoteOptions options, Consumer<BlockException> onLoss)
            throws BlockException {
        return new RemoteDevice(options, new Connections(options, onLoss));
    }

    /// Connects, for a caller to whom failing requests are notice enough.
    public static RemoteDevice open(RemoteOptions options) throws BlockException {
        return open(options, _ -> {});
    }

    @Override
    public String description() {
        return options.uri().format();
    }

    @Override
    public long size() {
        return export.size();
    }

    /// A flush is shared by everybody who uses this device: there is either one connection, or the
    /// server has said that a flush covers them all.
    @Override
    public Capabilities capabilities() {
        return new Capabilities(
                export.has(NbdProtocol.FLAG_READ_ONLY),
                support(NbdProtocol.FLAG_SEND_FUA),
                support(NbdProtocol.FLAG_SEND_WRITE_ZEROES),
                support(NbdProtocol.FLAG_SEND_TRIM),
                export.minimumBlock(),
                false,
                export.preferredBlock(),
                true);
    }

    private Support support(int flag) {
        return export.has(flag) ? Support.NATIVE : Support.NONE;
    }

    /// What the server said about the export.
    public RemoteExport export() {
        return export;
    }

    /// Whether the connections are encrypted.
    public boolean isEncrypted() {
        return connections.pick().isEncrypted();
    }

    /// How many connections there are.
    public int connections() {
        return connections.count();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        startRead(offset, target).await();
        target.position(target.limit());
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        startWrite(offset, source, flags).await();
        source.position(source.limit());
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        if (flags.contains(WriteFlag.FAST) && !export.has(NbdProtocol.FLAG_SEND_FAST_ZERO)) {
            throw BlockException.at(
                    Kind.UNSUPPORTED, this, "zero", offset, length, "it may be slow");
        }
        int commandFlags = zeroFlags(flags);
        for (long done = 0; done < length; ) {
            long step = Math.min(rangeMax, length - done);
            start(NbdProtocol.CMD_WRITE_ZEROES, commandFlags, offset + done, step, null).await();
            done += step;
            // A refusal must leave everything as it was, so only the first step may be refused.
            commandFlags &= ~NbdProtocol.CMD_FLAG_FAST_ZERO;
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        for (long done = 0; done < length; ) {
            long step = Math.min(rangeMax, length - done);
            start(NbdProtocol.CMD_TRIM, 0, offset + done, step, null).await();
            done += step;
        }
    }

    @Override
    public void flush() throws BlockException {
        startFlush().await();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        if (export.contextId(NbdProtocol.META_BASE_ALLOCATION) == null) {
            return List.of(Extent.of(offset, length, Extent.Kind.DATA));
        }
        List<Extent> extents = new ArrayList<>();
        for (StatusExtent said : status(NbdProtocol.META_BASE_ALLOCATION, offset, length)) {
            Extent.Kind kind = kind(said.flags());
            Extent last = extents.isEmpty() ? null : extents.getLast();
            if (last != null && last.kind() == kind) {
                extents.removeLast();
                extents.add(Extent.of(last.offset(), last.length() + said.length(), kind));
            } else {
                extents.add(Extent.of(said.offset(), said.length(), kind));
            }
        }
        return extents;
    }

    /// Only what reads as zeroes is a hole: of one that does not, the contents are not known.
    private static Extent.Kind kind(long flags) {
        if ((flags & NbdProtocol.STATE_ZERO) == 0) {
            return Extent.Kind.DATA;
        }
        return (flags & NbdProtocol.STATE_HOLE) != 0 ? Extent.Kind.HOLE : Extent.Kind.ZERO;
    }

    /// Tells what a metadata context says about a range; the answer begins at `offset` and may stop
    /// short of the end.
    ///
    /// @param context `base:allocation` or one of [RemoteOptions#contexts]
    /// @throws BlockException if the server does not tell it, or fails
    public List<StatusExtent> status(String context, long offset, long length)
            throws BlockException {
        connections.pick().checkContext(context);
        long asked = Math.min(rangeMax, length);
        Replay replay =
                new Replay(
                        connections, connection -> connection.startStatus(context, offset, asked));
        replay.await();
        return replay.request().said(context);
    }

    /// Sends a [#read]; the target's position does not move.
    @Override
    public Pending startRead(long offset, ByteBuffer target) {
        return startTransfer(NbdProtocol.CMD_READ, 0, offset, target);
    }

    /// Sends a [#write]; the source's position does not move, so that it can be written elsewhere
    /// meanwhile.
    @Override
    public Pending startWrite(long offset, ByteBuffer source, Set<WriteFlag> flags) {
        return startTransfer(NbdProtocol.CMD_WRITE, fuaFlag(flags), offset, source);
    }

    /// Sends a [#zero] of at most 1 GiB without [WriteFlag#FAST].
    @Override
    public Pending startZero(long offset, long length, Set<WriteFlag> flags) {
        int commandFlags = zeroFlags(flags) & ~NbdProtocol.CMD_FLAG_FAST_ZERO;
        return start(NbdProtocol.CMD_WRITE_ZEROES, commandFlags, offset, length, null);
    }

    /// Sends a [#flush]. A server that has no flush keeps nothing back, so that nothing is sent; a
    /// device that has failed fails it all the same.
    @Override
    public Pending startFlush() {
        return export.has(NbdProtocol.FLAG_SEND_FLUSH)
                ? start(NbdProtocol.CMD_FLUSH, 0, 0, 0, null)
                : new Replay(connections, NbdConnection::startNothing);
    }

    /// As many requests as the server's limit on payloads makes necessary.
    private Pending startTransfer(int command, int flags, long offset, ByteBuffer payload) {
        int length = payload.remaining();
        int max = export.payloadMax();
        if (length <= max) {
            return start(command, flags, offset, length, payload);
        }
        List<Pending> parts = new ArrayList<>();
        for (int done = 0; done < length; done += Math.min(max, length - done)) {
            int step = Math.min(max, length - done);
            ByteBuffer part = payload.slice(payload.position() + done, step);
            parts.add(start(command, flags, offset + done, step, part));
        }
        return () -> awaitAll(parts);
    }

    /// Waits for all of them, even after a failure, since each owns a part of the buffer; then
    /// throws the first failure.
    private static void awaitAll(List<Pending> parts) throws BlockException {
        BlockException failure = null;
        for (Pending part : parts) {
            try {
                part.await();
            } catch (BlockException e) {
                failure = failure == null ? e : failure;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private static int fuaFlag(Set<WriteFlag> flags) {
        return flags.contains(WriteFlag.FUA) ? NbdProtocol.CMD_FLAG_FUA : 0;
    }

    private static int zeroFlags(Set<WriteFlag> flags) {
        return fuaFlag(flags)
                | (flags.contains(WriteFlag.MAY_UNMAP) ? 0 : NbdProtocol.CMD_FLAG_NO_HOLE)
                | (flags.contains(WriteFlag.FAST) ? NbdProtocol.CMD_FLAG_FAST_ZERO : 0);
    }

    private Pending start(
            int command, int flags, long offset, long length, @Nullable ByteBuffer payload) {
        // The caller may move the position of its own while it waits.
        ByteBuffer bytes = payload == null ? null : payload.duplicate();
        return new Replay(
                connections,
                connection -> connection.startRequest(command, flags, offset, length, bytes));
    }

    /// Why the device failed for good, or null while it works or may work again.
    public @Nullable BlockException failure() {
        return connections.failure();
    }

    @Override
    public void abort(BlockException cause) {
        connections.end(cause);
    }

    @Override
    public void close() {
        connections.close();
    }
}
