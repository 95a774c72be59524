package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;

/// Passes everything on, and tells when something is about to be written and what failed.
final class ObservedDevice implements BlockDevice {
    /// Hears of requests on their threads, so it returns at once.
    interface Observer {
        /// Something is about to change the device.
        default void beforeWrite() {}

        /// A request failed, and whoever made it is about to hear so.
        default void failed(BlockException cause) {}
    }

    private interface Request {
        void run() throws BlockException;
    }

    private final BlockDevice device;
    private final Observer observer;

    ObservedDevice(BlockDevice device, Observer observer) {
        this.device = device;
        this.observer = observer;
    }

    @Override
    public String description() {
        return device.description();
    }

    @Override
    public long size() {
        return device.size();
    }

    @Override
    public Capabilities capabilities() {
        return device.capabilities();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        observe(() -> device.read(offset, target));
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        observer.beforeWrite();
        observe(() -> device.write(offset, source, flags));
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        observer.beforeWrite();
        observe(() -> device.zero(offset, length, flags));
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        observer.beforeWrite();
        observe(() -> device.discard(offset, length));
    }

    @Override
    public void flush() throws BlockException {
        observe(device::flush);
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        return device.extents(offset, length);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        try {
            return device.readNow(offset, target);
        } catch (BlockException e) {
            observer.failed(e);
            throw e;
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        observer.beforeWrite();
        try {
            return device.writeNow(offset, source);
        } catch (BlockException e) {
            observer.failed(e);
            throw e;
        }
    }

    @Override
    public void close() {}

    private void observe(Request request) throws BlockException {
        try {
            request.run();
        } catch (BlockException e) {
            // A fast zero that is refused is no failure: it was asked for on that condition.
            if (e.kind() != BlockException.Kind.UNSUPPORTED) {
                observer.failed(e);
            }
            throw e;
        }
    }
}
