package dev.lockstep.block.open;

/// What a node does unless its options say otherwise: what its parent does, or for a root what its
/// user asks for.
///
/// @param readOnly nothing is written to it
/// @param direct files are read and written past the page cache
/// @param noFlush a flush does nothing
/// @param forceShare an image may be read while another program writes to it
/// @param unmap a discard reaches the device
/// @param detectZeroes what becomes of a write of nothing but zeroes; children do not inherit it
public record Inherited(
        boolean readOnly,
        boolean direct,
        boolean noFlush,
        boolean forceShare,
        boolean unmap,
        DetectZeroes detectZeroes) {

    /// What becomes of a write of nothing but zeroes.
    public enum DetectZeroes {
        /// It is a write.
        OFF,
        /// It is a zero that keeps the space.
        ON,
        /// It is a zero that may release the space, where discards do.
        UNMAP
    }

    /// To be written to, through the page cache, with discards ignored: what QEMU's block layer
    /// does if it is told nothing.
    public static final Inherited NOTHING =
            new Inherited(false, false, false, false, false, DetectZeroes.OFF);

    /// The same with read-only or not.
    public Inherited withReadOnly(boolean value) {
        return new Inherited(value, direct, noFlush, forceShare, unmap, detectZeroes);
    }

    /// The same with discards or not.
    public Inherited withUnmap(boolean value) {
        return new Inherited(readOnly, direct, noFlush, forceShare, value, detectZeroes);
    }

    /// The same for a child: whether a discard comes to it is its parent's decision already.
    Inherited forChild() {
        return new Inherited(readOnly, direct, noFlush, forceShare, true, DetectZeroes.OFF);
    }
}
