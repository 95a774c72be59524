package dev.lockstep.cli.img;

import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.qed.CreateOptions;
import dev.lockstep.block.qed.QedCreator;
import dev.lockstep.image.OpenImage;

import java.io.IOException;

/// A QED image that is to be made.
///
/// @param tablesNamed whether a table's length was asked for
record NewQed(CreateOptions options, boolean tablesNamed) implements NewImage {
    static final String HELP =
            """
              backing_file=<str>     - File name of a base image
              backing_fmt=<str>      - Image format of the base image
              cluster_size=<size>    - A power of two from 4k to 64M; 64k by default
              size=<size>            - Virtual disk size
              table_size=<num>       - Clusters in a table: 2, 4 (the default), 8 or 16
            """;

    /// Understands options.
    ///
    /// @param below finds what is to lie below it
    static NewQed read(OptionReader options, NewBacking below) throws IOException {
        boolean tablesNamed = options.has("table_size");
        CreateOptions wanted =
                new CreateOptions(
                        options.bytes("size", -1),
                        clamped(options.bytes("cluster_size", CreateOptions.CLUSTER_SIZE_DEFAULT)),
                        clamped(options.bytes("table_size", CreateOptions.TABLE_SIZE_DEFAULT)),
                        options.textOrNull("backing_file"),
                        options.textOrNull("backing_fmt"));
        options.finish();
        long bytes =
                below.length(options, wanted.size(), wanted.backingFile(), wanted.backingFormat());
        return new NewQed(wanted.withSize(bytes), tablesNamed);
    }

    private static int clamped(long value) {
        return (int) Math.min(value, Integer.MAX_VALUE);
    }

    @Override
    public String announcement(String file) {
        CreateOptions o = options;
        StringBuilder text =
                new StringBuilder("Formatting '%s', fmt=qed size=%d".formatted(file, o.size()));
        if (o.backingFile() != null) {
            text.append(" backing_file=").append(o.backingFile());
        }
        if (o.backingFormat() != null) {
            text.append(" backing_fmt=").append(o.backingFormat());
        }
        text.append(" cluster_size=").append(o.clusterSize());
        if (tablesNamed) {
            text.append(" table_size=").append(o.tableSize());
        }
        return text.toString();
    }

    @Override
    public void make(String file, String cache) throws IOException {
        try (OpenImage holder = NewImage.openHolder(file, cache)) {
            QedCreator.create(holder.connect(false), options);
        }
    }
}
