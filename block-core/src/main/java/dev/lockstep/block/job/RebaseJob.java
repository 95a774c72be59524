package dev.lockstep.block.job;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.DeviceCopy;
import dev.lockstep.block.copy.Sink;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/// Copies into an image what is seen there and comes from below it, where the image that is to lie
/// there differs. Afterwards the image reads the same above either.
public final class RebaseJob extends Job {
    /// What is compared and written as a whole: what images mostly allocate as one.
    private static final int BLOCK_BYTES = 64 << 10;

    /// @param image what is to get another backing image; nobody else writes to it
    /// @param wanted what is to lie below it, or null for nothing
    public RebaseJob(Gate image, @Nullable Gate wanted) {
        super(
                new DeviceCopy(
                        new Gate(new Selection(image, RebaseJob::part)),
                        new Differing(image, new Backing(wanted)),
                        image.size(),
                        CopyOptions.DEFAULT.with(false, true)),
                image,
                image.size());
    }

    /// What the image has itself stays.
    private static Selection.Part part(Extent extent) {
        return new Selection.Part(extent.length(), extent.depth() != 1);
    }

    /// Writes what would otherwise be seen differently.
    private record Differing(Gate image, Backing wanted) implements Sink {
        @Override
        public void write(long offset, ByteBuffer bytes) throws BlockException {
            ByteBuffer below = CopyBuffers.take();
            try {
                int end = bytes.limit();
                while (bytes.position() < end) {
                    int length = blockLength(offset, end - bytes.position());
                    bytes.limit(bytes.position() + length);
                    wanted.read(offset, below.clear().limit(length));
                    if (bytes.equals(below.flip())) {
                        bytes.position(bytes.limit());
                    } else {
                        image.write(offset, bytes, WriteFlag.NONE);
                    }
                    bytes.limit(end);
                    offset += length;
                }
            } finally {
                CopyBuffers.giveBack(below);
            }
        }

        /// Zeroes need a place only where something else is to lie below them. There they are
        /// written: a zero would be left out where the image reads as zeroes today.
        @Override
        public void zero(long offset, long length) throws BlockException {
            Gate below = wanted.gate();
            long end = Math.min(offset + length, wanted.bytes());
            for (long at = offset; below != null && at < end; ) {
                Extent there = below.extents(at, end - at).getFirst();
                if (there.kind() == Extent.Kind.DATA) {
                    zeroWhereData(below, at, there.end());
                }
                at = there.end();
            }
        }

        private void zeroWhereData(Gate below, long offset, long end) throws BlockException {
            ByteBuffer bytes = CopyBuffers.take();
            try {
                for (long at = offset; at < end; ) {
                    int length = blockLength(at, end - at);
                    below.read(at, bytes.clear().limit(length));
                    if (!Zeroes.fill(bytes.flip())) {
                        Zeroes.put(bytes.clear().limit(length));
                        image.write(at, bytes.flip(), WriteFlag.NONE);
                    }
                    at += length;
                }
            } finally {
                CopyBuffers.giveBack(bytes);
            }
        }

        private static int blockLength(long offset, long rest) {
            return (int) Math.min(BLOCK_BYTES - offset % BLOCK_BYTES, rest);
        }
    }
}
