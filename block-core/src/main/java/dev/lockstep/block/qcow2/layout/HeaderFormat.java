package dev.lockstep.block.qcow2.layout;

/// Numbers that the reader and the writer of headers share: section "Header" of the format.
final class HeaderFormat {
    /// Where each field of the header begins.
    static final int BACKING_FILE_OFFSET = 8;

    static final int BACKING_FILE_SIZE = 16;
    static final int CLUSTER_BITS = 20;
    static final int SIZE = 24;
    static final int CRYPT_METHOD = 32;
    static final int L1_SIZE = 36;
    static final int L1_TABLE_OFFSET = 40;
    static final int REFCOUNT_TABLE_OFFSET = 48;
    static final int REFCOUNT_TABLE_CLUSTERS = 56;
    static final int NB_SNAPSHOTS = 60;
    static final int SNAPSHOTS_OFFSET = 64;
    static final int INCOMPATIBLE_FEATURES = 72;
    static final int COMPATIBLE_FEATURES = 80;
    static final int AUTOCLEAR_FEATURES = 88;
    static final int REFCOUNT_ORDER = 96;
    static final int HEADER_LENGTH = 100;
    static final int COMPRESSION_TYPE = 104;

    /// All of version 2's header.
    static final int V2_BYTES = 72;

    /// The least that version 3 has.
    static final int V3_BYTES = 104;

    /// Version 3 with the compression type, padded; what follows is not known here.
    static final int KNOWN_BYTES = 112;

    /// Type and length of an extension.
    static final int EXTENSION_BYTES = 8;

    static final int EXTENSIONS_END = 0;
    static final int BACKING_FORMAT = 0xe2792aca;
    static final int FEATURE_NAME_TABLE = 0x6803f857;
    static final int BITMAPS = 0x23852875;
    static final int ENCRYPTION = 0x0537be77;
    static final int DATA_FILE = 0x44415441;

    /// An entry of the feature name table: group, bit, name.
    static final int FEATURE_NAME_BYTES = 48;

    static final int FEATURE_LABEL_BYTES = 46;

    private HeaderFormat() {}

    /// The length of an extension's data with its padding.
    static int padded(int bytes) {
        return (bytes + 7) & ~7;
    }
}
