package dev.lockstep.block.filter.copybeforewrite;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;
import dev.lockstep.block.overlay.BufferOverlay;
import dev.lockstep.block.overlay.ByteBudget;

import java.time.Duration;

/// The driver `copy-before-write`. The package's description has its options.
public final class CopyBeforeWriteOpener {
    /// What is preserved at once, as QEMU has it.
    private static final int CLUSTER_BYTES = 64 << 10;

    private CopyBeforeWriteOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        Edge target = options.child("target");
        OnCbwError onError =
                options.choice("on-cbw-error", OnCbwError.class, OnCbwError.BREAK_GUEST_WRITE);
        Duration timeout =
                Duration.ofSeconds(options.number("cbw-timeout", 0, Integer.MAX_VALUE, 0));
        return () -> {
            Gate disk = file.gate();
            if (target.gate().size() != disk.size()) {
                throw options.invalid(
                        "%s has %d bytes and the disk has %d: the target must be as long"
                                .formatted(
                                        target.gate().description(),
                                        target.gate().size(),
                                        disk.size()));
            }
            BufferOverlay before =
                    new BufferOverlay(
                            "old bytes of " + disk.description(),
                            disk,
                            target.gate(),
                            CLUSTER_BYTES,
                            ByteBudget.unlimited());
            return new CopyBeforeWrite(disk, before, onError, timeout, _ -> {});
        };
    }
}
