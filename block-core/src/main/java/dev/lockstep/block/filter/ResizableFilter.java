package dev.lockstep.block.filter;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Resizable;

/// A filter that knows nothing of its device's length, and so may pass on changes of it.
public abstract class ResizableFilter extends FilterDevice implements Resizable {
    /// A filter above a device, which belongs to who opened it.
    protected ResizableFilter(BlockDevice child) {
        super(child);
    }

    @Override
    public final long remeasure() {
        return child instanceof Resizable resizable ? resizable.remeasure() : child.size();
    }

    @Override
    public final void resize(long bytes) throws BlockException {
        if (!(child instanceof Resizable resizable)) {
            throw new BlockException(
                    Kind.UNSUPPORTED, "%s: its length is fixed".formatted(description()));
        }
        resizable.resize(bytes);
    }

    @Override
    public final void grow(long bytes) throws BlockException {
        if (child instanceof Resizable resizable) {
            resizable.grow(bytes);
        } else {
            Resizable.super.grow(bytes);
        }
    }
}
