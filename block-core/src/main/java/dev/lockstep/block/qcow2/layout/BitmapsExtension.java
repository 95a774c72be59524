package dev.lockstep.block.qcow2.layout;

/// Where the directory of an image's bitmaps is.
///
/// @param count how many bitmaps the directory tells of, 1 to 65535
/// @param directoryBytes its length
/// @param directoryOffset where it begins, a multiple of the cluster size
public record BitmapsExtension(int count, long directoryBytes, long directoryOffset) {
    /// QEMU supports no more in one image.
    public static final int COUNT_MAX = 65535;

    /// Room for as many entries of the greatest length: 24 bytes and a name of 1023, padded.
    public static final long DIRECTORY_BYTES_MAX = COUNT_MAX * 1048L;

    /// The length of the extension's data.
    static final int BYTES = 24;
}
