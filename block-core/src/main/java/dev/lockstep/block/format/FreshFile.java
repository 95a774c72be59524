package dev.lockstep.block.format;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;

/// Makes a file ready to take a new image.
public final class FreshFile {
    private FreshFile() {}

    /// Takes what was there away, durably, so that nobody takes the old header and new tables for
    /// an image.
    ///
    /// @param headerBytes where the length is fixed, so much becomes zeroes
    /// @return false if the length is fixed, so that the rest holds what it held
    public static boolean empty(Gate file, long headerBytes) throws BlockException {
        if (file.size() == 0) {
            return true;
        }
        boolean emptied = resized(file, 0);
        if (!emptied) {
            file.zero(0, Math.min(file.size(), headerBytes), WriteFlag.NONE);
        }
        file.flush();
        return emptied;
    }

    /// Makes it at least so long. What is preallocated may be needed to the end of its last block.
    ///
    /// @throws BlockException with `NO_SPACE` if its length is fixed and too small
    public static void setLength(Gate device, long bytes) throws BlockException {
        int unit = Math.max(1, device.capabilities().preferredBlockSize());
        long length = Math.ceilDiv(bytes, (long) unit) * unit;
        if (device.size() < bytes && !resized(device, length)) {
            throw new BlockException(
                    Kind.NO_SPACE,
                    "%s: the image needs %d bytes; the device has only %d and its length is fixed"
                            .formatted(device.description(), bytes, device.size()));
        }
    }

    /// @return false if the length is fixed
    private static boolean resized(Gate device, long bytes) throws BlockException {
        if (!(device.device() instanceof Resizable)) {
            return false;
        }
        try {
            device.resize(bytes);
            return true;
        } catch (BlockException e) {
            if (e.kind() == Kind.UNSUPPORTED) {
                return false;
            }
            throw e;
        }
    }
}
