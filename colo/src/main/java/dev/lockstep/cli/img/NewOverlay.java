package dev.lockstep.cli.img;

import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;

/// An overlay that is to be made: its map, and a data file beside it.
record NewOverlay(MapHeader header) implements NewImage {
    static final String HELP =
            """
              backing_file=<str>     - File name of the image below, which there has to be
              backing_fmt=<str>      - Its format
              cluster_size=<size>    - A power of two from 4k to 256k; 64k by default
              data_file=<str>        - File name of what is written; the map's with .data by default
              size=<size>            - Virtual disk size; that of the image below by default
            """;

    private static final int CLUSTER_SIZE_DEFAULT = 64 << 10;

    /// Understands options.
    ///
    /// @param below finds the image below it
    static NewOverlay read(OptionReader options, NewBacking below) throws IOException {
        String backing = options.textOrNull("backing_file");
        String format = options.textOrNull("backing_fmt");
        long clusterBytes = options.bytes("cluster_size", CLUSTER_SIZE_DEFAULT);
        String dataFile = options.textOrNull("data_file");
        long size = options.bytes("size", -1);
        options.finish();
        if (backing == null) {
            throw options.invalid("an overlay has an image below it: name it with -b");
        }
        long bytes = below.length(options, size, backing, format);
        return new NewOverlay(
                MapHeader.create(
                        bytes,
                        (int) Math.min(clusterBytes, Integer.MAX_VALUE),
                        backing,
                        orEmpty(format),
                        dataFile == null ? besides(below.file()) : dataFile));
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }

    private static String besides(String file) {
        return Path.of(file).getFileName() + ".data";
    }

    @Override
    public String announcement(String file) {
        String format = header.backingFormat();
        return "Formatting '%s', fmt=overlay cluster_size=%d size=%d backing_file=%s%s data_file=%s"
                .formatted(
                        file,
                        header.clusterBytes(),
                        header.size(),
                        header.backingFile(),
                        format.isEmpty() ? "" : " backing_fmt=" + format,
                        header.dataFile());
    }

    @Override
    public void make(String file, String cache) throws IOException {
        try (OpenImage map = NewImage.openHolder(file, cache);
                OpenImage data =
                        NewImage.openHolder(ImageName.relativeTo(file, header.dataFile()), cache)) {
            DurableStore.create(map.connect(false), data.connect(false), header);
        }
    }
}
