package dev.lockstep.colo.secondary;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.filter.FilterDevice;

import java.nio.ByteBuffer;
import java.util.Set;

/// Passes everything on, and tells when something is about to be written and what failed.
final class ObservedDevice extends FilterDevice {
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

    private final Observer observer;

    ObservedDevice(BlockDevice device, Observer observer) {
        super(device);
        this.observer = observer;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        observe(() -> child.read(offset, target));
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        observer.beforeWrite();
        observe(() -> child.write(offset, source, flags));
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        observer.beforeWrite();
        observe(() -> child.zero(offset, length, flags));
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        observer.beforeWrite();
        observe(() -> child.discard(offset, length));
    }

    @Override
    public void flush() throws BlockException {
        observe(child::flush);
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        try {
            return child.readNow(offset, target);
        } catch (BlockException e) {
            observer.failed(e);
            throw e;
        }
    }

    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        observer.beforeWrite();
        try {
            return child.writeNow(offset, source);
        } catch (BlockException e) {
            observer.failed(e);
            throw e;
        }
    }

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
