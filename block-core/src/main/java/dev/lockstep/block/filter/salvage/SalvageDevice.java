package dev.lockstep.block.filter.salvage;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.filter.FilterDevice;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Consumer;

/// Reads zeroes where nothing can be read.
public final class SalvageDevice extends FilterDevice {
    private static final int SECTOR_BYTES = 512;

    private final Consumer<String> losses;

    /// A filter above a device.
    ///
    /// @param losses is told in a sentence of each sector that is lost, each time it is read
    public SalvageDevice(BlockDevice child, Consumer<String> losses) {
        super(child);
        this.losses = losses;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int start = target.position();
        int end = target.limit();
        try {
            child.read(offset, target);
        } catch (BlockException e) {
            throwOthers(e);
            for (int at = start; at < end; ) {
                long position = offset + at - start;
                int next = (int) Math.min(end - at, SECTOR_BYTES - position % SECTOR_BYTES) + at;
                readSector(position, target.limit(next).position(at));
                at = next;
            }
        }
    }

    private void readSector(long offset, ByteBuffer target) throws BlockException {
        int start = target.position();
        try {
            child.read(offset, target);
        } catch (BlockException e) {
            throwOthers(e);
            losses.accept("the bytes at %d are lost: %s".formatted(offset, e.getMessage()));
            Zeroes.put(target.position(start));
        }
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        int start = target.position();
        try {
            return child.readNow(offset, target);
        } catch (BlockException e) {
            throwOthers(e);
            target.position(start);
            return false;
        }
    }

    /// What cannot be asked about is data.
    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        try {
            return child.extents(offset, length);
        } catch (BlockException e) {
            throwOthers(e);
            long sector = Math.min(length, SECTOR_BYTES - offset % SECTOR_BYTES);
            return List.of(Extent.of(offset, sector, Extent.Kind.DATA));
        }
    }

    private static void throwOthers(BlockException e) throws BlockException {
        if (e.kind() != Kind.IO && e.kind() != Kind.CORRUPT) {
            throw e;
        }
    }
}
