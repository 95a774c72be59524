package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.qed.Header;
import dev.lockstep.block.qed.QedDevice;

/// The driver `qed`.
///
///     file       the image
///     backing    what is read where the image has nothing; default: what it says
final class QedOpener {
    private QedOpener() {}

    static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        ImpliedEdge backing = options.backing();
        boolean readOnly = options.common().readOnly();
        return () -> {
            Header header = QedDevice.header(file.gate());
            String name = header.backingFile();
            String format = header.has(Header.BACKING_RAW) ? "raw" : "";
            return QedDevice.open(
                    file.gate(), backing.open(name == null ? "" : name, format), readOnly);
        };
    }
}
