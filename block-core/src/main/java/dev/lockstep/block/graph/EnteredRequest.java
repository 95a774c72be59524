package dev.lockstep.block.graph;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Pending;

/// A request that was begun, and is counted as in flight through the gate until it was awaited.
record EnteredRequest(Gate gate, Pending request) implements Pending {
    @Override
    public void await() throws BlockException {
        try {
            request.await();
        } finally {
            gate.uncount();
        }
    }
}
