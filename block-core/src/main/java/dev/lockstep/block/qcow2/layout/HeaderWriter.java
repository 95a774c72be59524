package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.nio.BufferOverflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/// Puts a header together: the fields, the extensions, the backing file's name.
final class HeaderWriter {
    private static final int SECTOR_BYTES = 512;

    private static final int FEATURE_NAME_TABLE_BYTES =
            Feature.values().length * HeaderFormat.FEATURE_NAME_BYTES;

    private final Header header;
    private final ByteBuffer out;

    HeaderWriter(Header header) {
        this.header = header;
        out = ByteBuffer.allocate(header.clusterBytes());
    }

    ByteBuffer write() throws BlockException {
        byte[] backing = bytes(header.backingFile());
        try {
            fields();
            extension(HeaderFormat.BACKING_FORMAT, header.backingFormat());
            extension(HeaderFormat.DATA_FILE, header.externalDataFile());
            bitmaps();
            for (UnknownExtension unknown : header.unknownExtensions()) {
                extension(unknown.type(), unknown.data());
            }
            featureNames(backing.length);
            out.putInt(HeaderFormat.EXTENSIONS_END).putInt(0);
            if (backing.length > 0) {
                out.putLong(HeaderFormat.BACKING_FILE_OFFSET, out.position());
                out.putInt(HeaderFormat.BACKING_FILE_SIZE, backing.length);
                out.put(backing);
            }
        } catch (BufferOverflowException e) {
            throw new BlockException(
                    Kind.INVALID,
                    "the qcow2 header with its extensions does not fit into a cluster of %d bytes:"
                                    .formatted(header.clusterBytes())
                            + " shorten the backing file's name or use larger clusters",
                    e);
        }
        int end = (out.position() + SECTOR_BYTES - 1) & -SECTOR_BYTES;
        return out.position(0).limit(end);
    }

    private void fields() {
        out.putInt(Header.MAGIC).putInt(header.version());
        out.putLong(0).putInt(0);
        out.putInt(header.clusterBits()).putLong(header.size());
        out.putInt(0);
        out.putInt(header.l1Entries()).putLong(header.l1Offset());
        out.putLong(header.refcountTableOffset()).putInt(header.refcountTableClusters());
        out.putInt(header.snapshotCount()).putLong(header.snapshotsOffset());
        if (header.version() == 2) {
            return;
        }
        Features features = header.features();
        out.putLong(features.incompatible());
        out.putLong(features.compatible());
        out.putLong(features.autoclear());
        out.putInt(header.refcountOrder());
        ByteBuffer unknown = header.unknownFields();
        out.putInt(HeaderFormat.KNOWN_BYTES + unknown.remaining());
        out.put((byte) header.compression().code());
        out.position(HeaderFormat.KNOWN_BYTES);
        out.put(unknown);
    }

    private void bitmaps() {
        BitmapsExtension bitmaps = header.bitmaps();
        if (bitmaps != null) {
            ByteBuffer data = ByteBuffer.allocate(BitmapsExtension.BYTES);
            data.putInt(bitmaps.count()).putInt(0);
            data.putLong(bitmaps.directoryBytes()).putLong(bitmaps.directoryOffset());
            extension(HeaderFormat.BITMAPS, data.flip());
        }
    }

    /// It serves people who read another program's error, so it gives way to what is needed, and to
    /// a header that fits into one sector: a change of that is never torn.
    private void featureNames(int backingBytes) {
        int rest = HeaderFormat.EXTENSION_BYTES + backingBytes;
        int table = HeaderFormat.EXTENSION_BYTES + FEATURE_NAME_TABLE_BYTES;
        boolean oneSector = out.position() + rest <= SECTOR_BYTES;
        int room = oneSector ? SECTOR_BYTES - out.position() : out.remaining();
        if (header.version() == 2 || room < table + rest) {
            return;
        }
        writeFeatureNames();
    }

    private void writeFeatureNames() {
        ByteBuffer table = ByteBuffer.allocate(FEATURE_NAME_TABLE_BYTES);
        for (Feature feature : Feature.values()) {
            int start = table.position();
            table.put((byte) feature.group().code()).put((byte) feature.bit());
            table.put(bytes(feature.label()));
            table.position(start + HeaderFormat.FEATURE_NAME_BYTES);
        }
        extension(HeaderFormat.FEATURE_NAME_TABLE, table.flip());
    }

    private void extension(int type, @Nullable String text) {
        if (text != null) {
            extension(type, ByteBuffer.wrap(bytes(text)));
        }
    }

    private void extension(int type, ByteBuffer data) {
        int bytes = data.remaining();
        out.putInt(type).putInt(bytes).put(data);
        out.put(new byte[HeaderFormat.padded(bytes) - bytes]);
    }

    private static byte[] bytes(@Nullable String text) {
        return text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8);
    }
}
