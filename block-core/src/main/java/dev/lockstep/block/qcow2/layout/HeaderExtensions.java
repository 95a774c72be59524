package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.BlockException;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/// The extensions that follow a header. Where a type appears twice the later one counts. Unknown
/// fields of value 0 are as if they were not there.
final class HeaderExtensions {
    private final HeaderReader reader;
    private final ByteBuffer unknownFields;
    private final List<UnknownExtension> unknown = new ArrayList<>();
    private @Nullable String backingFormat;
    private @Nullable String dataFile;
    private @Nullable ByteBuffer featureNames;
    private @Nullable ByteBuffer bitmaps;

    HeaderExtensions(HeaderReader reader, ByteBuffer head, int start, int end)
            throws BlockException {
        this.reader = reader;
        int known = Math.min(start, HeaderFormat.KNOWN_BYTES);
        int unknownEnd = start;
        while (unknownEnd > known && head.getLong(unknownEnd - Long.BYTES) == 0) {
            unknownEnd -= Long.BYTES;
        }
        unknownFields = head.slice(known, unknownEnd - known);
        for (int at = start; at <= end - HeaderFormat.EXTENSION_BYTES; ) {
            int type = head.getInt(at);
            long bytes = Integer.toUnsignedLong(head.getInt(at + 4));
            if (type == HeaderFormat.EXTENSIONS_END) {
                return;
            }
            at += HeaderFormat.EXTENSION_BYTES;
            if (bytes > end - at) {
                throw reader.corrupt(
                        "the extension 0x%08x has a length of %d bytes; there are only %d"
                                .formatted(type, bytes, end - at));
            }
            take(type, head.slice(at, (int) bytes));
            at += HeaderFormat.padded((int) bytes);
        }
    }

    private void take(int type, ByteBuffer data) throws BlockException {
        switch (type) {
            case HeaderFormat.BACKING_FORMAT -> backingFormat = reader.text("backing format", data);
            case HeaderFormat.DATA_FILE ->
                    dataFile = reader.text("external data file's name", data);
            case HeaderFormat.FEATURE_NAME_TABLE -> featureNames = data;
            case HeaderFormat.BITMAPS -> bitmaps = data;
            // It has a meaning only in an encrypted image, and those are refused.
            case HeaderFormat.ENCRYPTION -> {}
            default -> unknown.add(new UnknownExtension(type, data));
        }
    }

    void addTo(HeaderBuilder builder) throws BlockException {
        Header header = builder.build();
        builder.backing(header.backingFile(), backingFormat)
                .externalDataFile(dataFile)
                .unknown(unknown, unknownFields)
                .bitmaps(header.has(Feature.BITMAPS) ? bitmaps() : null);
    }

    /// The extension is believed only where the feature bit vouches for it; without the bit it is
    /// dropped, as its contents are out of date.
    private @Nullable BitmapsExtension bitmaps() throws BlockException {
        if (bitmaps == null) {
            return null;
        }
        if (bitmaps.remaining() != BitmapsExtension.BYTES) {
            throw reader.corrupt(
                    "the bitmaps extension has %d bytes; it is %d bytes long"
                            .formatted(bitmaps.remaining(), BitmapsExtension.BYTES));
        }
        long count = Integer.toUnsignedLong(bitmaps.getInt(0));
        if (count < 1 || count > BitmapsExtension.COUNT_MAX) {
            throw reader.corrupt(
                    "nb_bitmaps is %d; possible are 1 to %d"
                            .formatted(count, BitmapsExtension.COUNT_MAX));
        }
        long bytes = bitmaps.getLong(8);
        long bytesMin = count * BitmapEntry.BYTES_MIN;
        if (bytes < bytesMin || bytes > BitmapsExtension.DIRECTORY_BYTES_MAX) {
            throw reader.corrupt(
                    "bitmap_directory_size is %s; %d bitmaps need %d, and at most %d is possible"
                            .formatted(
                                    Long.toUnsignedString(bytes),
                                    count,
                                    bytesMin,
                                    BitmapsExtension.DIRECTORY_BYTES_MAX));
        }
        long offset = bitmaps.getLong(16);
        reader.table("bitmap_directory_offset", offset, bytes);
        return new BitmapsExtension((int) count, bytes, offset);
    }

    /// The names that the image itself gives to incompatible bits.
    String featureNames(long bits) {
        return LongStream.range(0, Long.SIZE)
                .filter(bit -> (bits >>> bit & 1) != 0)
                .mapToObj(bit -> featureName((int) bit))
                .collect(Collectors.joining(", "));
    }

    private String featureName(int bit) {
        int entries =
                featureNames == null
                        ? 0
                        : featureNames.remaining() / HeaderFormat.FEATURE_NAME_BYTES;
        for (int entry = 0; featureNames != null && entry < entries; entry++) {
            int at = entry * HeaderFormat.FEATURE_NAME_BYTES;
            if (featureNames.get(at) == 0 && featureNames.get(at + 1) == bit) {
                byte[] label = new byte[HeaderFormat.FEATURE_LABEL_BYTES];
                featureNames.get(at + 2, label);
                return printable(label);
            }
        }
        return "incompatible bit " + bit;
    }

    /// It goes to a terminal, and anybody may have written it.
    private static String printable(byte[] label) {
        String text = new String(label, StandardCharsets.UTF_8);
        int end = text.indexOf(0);
        return (end < 0 ? text : text.substring(0, end)).replaceAll("\\p{Cntrl}", "?");
    }
}
