package dev.lockstep.block.qcow2.layout;

import org.jspecify.annotations.Nullable;

/// How an image's compressed clusters are compressed.
public enum CompressionType {
    /// Raw deflate, with a window of 4 KiB.
    DEFLATE(0, "zlib"),
    /// Zstandard frames.
    ZSTD(1, "zstd");

    private final int code;
    private final String label;

    CompressionType(int code, String label) {
        this.code = code;
        this.label = label;
    }

    /// The name by which QEMU's tools know it.
    public String label() {
        return label;
    }

    /// The header field's value.
    int code() {
        return code;
    }

    static @Nullable CompressionType of(int code) {
        for (CompressionType type : values()) {
            if (type.code == code) {
                return type;
            }
        }
        return null;
    }
}
