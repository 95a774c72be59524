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
    private final byte[] name;
    private final int fieldBytes;
    private final ByteBuffer extensions;

    HeaderWriter(Header header) throws BlockException {
        this.header = header;
        name = bytes(header.backingFile());
        fieldBytes =
                header.version() == 2
                        ? HeaderFormat.V2_BYTES
                        : HeaderFormat.KNOWN_BYTES + header.unknownFields().remaining();
        extensions = ByteBuffer.allocate(header.clusterBytes());
        try {
            extensions();
        } catch (BufferOverflowException e) {
            throw tooLong();
        }
        if (fieldBytes + extensions.remaining() + name.length > header.clusterBytes()) {
            throw tooLong();
        }
    }

    private BlockException tooLong() {
        return new BlockException(
                Kind.INVALID,
                "the qcow2 header with its extensions does not fit into a cluster of %d bytes:"
                                .formatted(header.clusterBytes())
                        + " shorten the backing file's name or use larger clusters");
    }

    /// One behind the other, as in a new image.
    ByteBuffer write() {
        return write(fieldBytes, fieldBytes + extensions.remaining());
    }

    /// What does not fit into the first sector goes where the header that is in use has nothing.
    HeaderRewrite rewrite(HeaderSpace used) {
        int extensionsEnd = fieldBytes + extensions.remaining();
        int all = extensionsEnd + name.length;
        boolean nameMoves = all > SECTOR_BYTES && extensionsEnd <= SECTOR_BYTES;
        boolean allMoves =
                extensionsEnd > SECTOR_BYTES && fieldBytes <= SECTOR_BYTES && header.version() > 2;
        int bytes = nameMoves ? name.length : extensions.remaining() + name.length;
        int place = used.room(bytes, header.clusterBytes());
        ByteBuffer out;
        int start = SECTOR_BYTES;
        if (place >= 0 && (nameMoves || allMoves)) {
            out = nameMoves ? write(fieldBytes, place) : write(place, place + extensions.limit());
            start = place;
        } else {
            out = write();
        }
        return new HeaderRewrite(
                start,
                out.slice(start, out.limit() - start),
                out.slice(0, SECTOR_BYTES),
                used.beyond(start, out.limit()));
    }

    private ByteBuffer write(int extensionsAt, int nameAt) {
        ByteBuffer out = ByteBuffer.allocate(header.clusterBytes());
        fields(out, extensionsAt);
        out.put(extensionsAt, extensions, 0, extensions.limit());
        int end = extensionsAt + extensions.limit();
        if (name.length > 0) {
            out.putLong(HeaderFormat.BACKING_FILE_OFFSET, nameAt);
            out.putInt(HeaderFormat.BACKING_FILE_SIZE, name.length);
            out.put(nameAt, name);
            end = nameAt + name.length;
        }
        return out.position(0).limit(HeaderSpace.sectorEnd(end));
    }

    private void extensions() {
        extension(HeaderFormat.BACKING_FORMAT, header.backingFormat());
        extension(HeaderFormat.DATA_FILE, header.externalDataFile());
        bitmaps();
        for (UnknownExtension unknown : header.unknownExtensions()) {
            extension(unknown.type(), unknown.data());
        }
        featureNames();
        extensions.putInt(HeaderFormat.EXTENSIONS_END).putInt(0).flip();
    }

    private void fields(ByteBuffer out, int headerBytes) {
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
        out.putInt(headerBytes);
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

    /// It serves people who read another program's error, so it gives way to what is needed, and
    /// never keeps anything else from fitting into the first sector, which is never torn.
    private void featureNames() {
        int end = fieldBytes + extensions.position() + HeaderFormat.EXTENSION_BYTES;
        int table = HeaderFormat.EXTENSION_BYTES + FEATURE_NAME_TABLE_BYTES;
        int beside = end + name.length <= SECTOR_BYTES ? name.length : 0;
        if (header.version() > 2 && end + table + beside <= SECTOR_BYTES) {
            writeFeatureNames();
        }
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
        extensions.putInt(type).putInt(bytes).put(data);
        extensions.put(new byte[HeaderFormat.padded(bytes) - bytes]);
    }

    private static byte[] bytes(@Nullable String text) {
        return text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8);
    }
}
