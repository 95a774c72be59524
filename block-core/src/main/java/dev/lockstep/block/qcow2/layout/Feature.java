package dev.lockstep.block.qcow2.layout;

/// The feature bits that this implementation knows.
public enum Feature {
    /// The refcounts may be wrong and must be rebuilt before anything is allocated.
    DIRTY(Group.INCOMPATIBLE, 0, "dirty bit"),
    /// Something in the image contradicts itself: it must not be written to except to repair it.
    CORRUPT(Group.INCOMPATIBLE, 1, "corrupt bit"),
    /// The guest's clusters lie in another file.
    EXTERNAL_DATA(Group.INCOMPATIBLE, 2, "external data file"),
    /// Compressed clusters are not deflate.
    COMPRESSION_TYPE(Group.INCOMPATIBLE, 3, "compression type"),
    /// L2 entries have 128 bits and tell of 32 subclusters.
    EXTENDED_L2(Group.INCOMPATIBLE, 4, "extended L2 entries"),
    /// Refcounts may be written late, under the dirty bit.
    LAZY_REFCOUNTS(Group.COMPATIBLE, 0, "lazy refcounts"),
    /// The bitmaps extension tells the truth.
    BITMAPS(Group.AUTOCLEAR, 0, "bitmaps"),
    /// The external data file is a raw image of the guest's disk.
    RAW_EXTERNAL(Group.AUTOCLEAR, 1, "raw external data");

    /// Which field a bit is in.
    public enum Group {
        /// Who does not know the bit must not open the image.
        INCOMPATIBLE(0),
        /// Who does not know the bit ignores it.
        COMPATIBLE(1),
        /// Who does not know the bit clears it before the first write.
        AUTOCLEAR(2);

        private final int code;

        Group(int code) {
            this.code = code;
        }

        /// What the feature name table calls the field.
        int code() {
            return code;
        }
    }

    private final Group group;
    private final int bit;
    private final String label;

    Feature(Group group, int bit, String label) {
        this.group = group;
        this.bit = bit;
        this.label = label;
    }

    /// Which field the bit is in.
    public Group group() {
        return group;
    }

    /// The number of the bit, counted from the least significant one.
    public int bit() {
        return bit;
    }

    /// What the feature name table calls it.
    public String label() {
        return label;
    }

    long mask() {
        return 1L << bit;
    }
}
