package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.format.FreshFile;
import dev.lockstep.block.graph.Gate;

import java.nio.ByteBuffer;

/// Writes a new image.
public final class QedCreator {
    private QedCreator() {}

    /// Makes an image. What the file held before is lost.
    ///
    /// @throws BlockException if the options are not possible, the file's length is fixed, or a
    ///     write failed; the file is then no image
    public static void create(Gate file, CreateOptions options) throws BlockException {
        Header header = options.header();
        if (!FreshFile.empty(file, Header.BYTES)) {
            throw new BlockException(
                    Kind.UNSUPPORTED,
                    "%s: a QED image grows at its end, and this device's length is fixed"
                            .formatted(file.description()));
        }
        FreshFile.setLength(file, header.l1Offset() + header.tableBytes());
        byte[] name = header.nameBytes();
        if (name.length > 0) {
            file.write(header.nameOffset(), ByteBuffer.wrap(name), WriteFlag.NONE);
        }
        file.flush();
        file.write(0, header.encode(), WriteFlag.NONE);
        file.flush();
    }
}
