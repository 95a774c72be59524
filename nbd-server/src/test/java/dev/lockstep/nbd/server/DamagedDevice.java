package dev.lockstep.nbd.server;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.FilterDevice;
import dev.lockstep.block.memory.MemoryDevice;

import java.nio.ByteBuffer;

/// A device full of ones that fails from a position on.
final class DamagedDevice extends FilterDevice {
    private final long damaged;

    DamagedDevice(long size, long damaged) {
        super(new MemoryDevice("damaged", size));
        this.damaged = damaged;
    }

    @Override
    public String description() {
        return "damaged device";
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        require(offset, target.remaining());
        while (target.hasRemaining()) {
            target.put((byte) 1);
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        read(offset, target);
        return true;
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        require(offset, length);
    }

    private void require(long offset, long length) throws BlockException {
        if (offset + length > damaged) {
            throw BlockException.at(
                    BlockException.Kind.IO, this, "access", offset, length, "it is damaged");
        }
    }
}
