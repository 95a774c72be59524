package dev.lockstep.colo.primary;

import dev.lockstep.colo.ColoMonitor;
import dev.lockstep.colo.ColoMonitor.QuorumOperation;

/// Tells a monitor's clients what failed in a pair, in the words that QEMU has for a quorum.
///
/// @param name the pair's
public record QuorumReports(ColoMonitor monitor, String name) implements Leader.Listener {
    @Override
    public void childFailed(String node, PairListener.Failure failure) {
        QuorumOperation operation =
                switch (failure.operation()) {
                    case WRITE -> QuorumOperation.WRITE;
                    case FLUSH -> QuorumOperation.FLUSH;
                };
        monitor.quorumReportBad(
                operation, failure.cause().getMessage(), node, failure.offset(), failure.length());
    }

    @Override
    public void requestFailed(PairListener.Failure failure) {
        monitor.quorumFailure(name, failure.offset(), failure.length());
    }
}
