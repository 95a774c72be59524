package dev.lockstep.block.graph;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.CompressedTarget.Compressed;

/// What was compressed for a device. It is in flight through the gate only while it is stored,
/// since whoever compresses may wait for others before.
///
/// @param child what it was compressed for
record GatedUnit(Gate gate, Child child, Compressed unit) implements Compressed {
    @Override
    public void store() throws BlockException {
        Child now = gate.enter();
        try {
            if (!now.device().equals(child.device())) {
                throw new BlockException(
                        Kind.GONE, "%s: it was replaced".formatted(child.device().description()));
            }
            unit.store();
        } finally {
            gate.leave();
        }
    }

    @Override
    public void close() {
        unit.close();
    }
}
