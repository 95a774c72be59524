package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.qcow2.create.CreateOptions;
import dev.lockstep.block.qcow2.create.Preallocation;
import dev.lockstep.block.qcow2.create.Qcow2Creator;
import dev.lockstep.block.qcow2.layout.CompressionType;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/// A qcow2 image that is to be made.
///
/// @param compat the version in the words of its user, or null if nothing was said
record NewQcow2(CreateOptions options, @Nullable String compat) implements NewImage {
    static final String HELP =
            """
              backing_file=<str>     - File name of a base image
              backing_fmt=<str>      - Image format of the base image
              cluster_size=<size>    - A power of two from 512 to 2M; 64k by default
              compat=<str>           - v2 (0.10) or v3 (1.1, the default)
              compression_type=<str> - zlib (the default) or zstd
              data_file=<str>        - File name of an external data file
              data_file_raw=<bool>   - The external data file stays valid as a raw image
              extended_l2=<bool>     - Clusters have subclusters
              lazy_refcounts=<bool>  - Postpone refcount updates
              nocow=<bool>           - Taken, and makes no difference
              preallocation=<str>    - off, metadata, falloc or full
              refcount_bits=<num>    - A power of two from 1 to 64; 16 by default
              size=<size>            - Virtual disk size
            """;

    private enum Compression {
        ZLIB,
        ZSTD
    }

    /// Understands options.
    ///
    /// @param below finds what is to lie below it
    static NewQcow2 read(OptionReader options, NewBacking below) throws IOException {
        String compat = options.textOrNull("compat");
        String backing = options.textOrNull("backing_file");
        String backingFormat = options.textOrNull("backing_fmt");
        Compression compression =
                options.choice("compression_type", Compression.class, Compression.ZLIB);
        boolean _ = options.truth("nocow", false);
        CreateOptions wanted =
                new CreateOptions(
                        options.bytes("size", -1),
                        version(options, compat),
                        clusterSize(options),
                        (int)
                                options.number(
                                        "refcount_bits",
                                        1,
                                        64,
                                        CreateOptions.REFCOUNT_BITS_DEFAULT),
                        backing,
                        backingFormat,
                        options.truth("lazy_refcounts", false),
                        options.truth("extended_l2", false),
                        compression == Compression.ZSTD
                                ? CompressionType.ZSTD
                                : CompressionType.DEFLATE,
                        options.textOrNull("data_file"),
                        options.truth("data_file_raw", false),
                        options.choice("preallocation", Preallocation.class, Preallocation.OFF));
        options.finish();
        long bytes = below.length(options, wanted.size(), backing, backingFormat);
        return new NewQcow2(withSize(wanted, bytes), compat);
    }

    /// The version that `compat` means; by default the newest.
    static int version(OptionReader options, @Nullable String compat) throws BlockException {
        return switch (compat == null ? "" : compat) {
            case "", "1.1", "v3" -> 3;
            case "0.10", "v2" -> 2;
            default ->
                    throw options.invalid(
                            "'compat' is '%s': write 0.10 (v2) or 1.1 (v3)".formatted(compat));
        };
    }

    private static int clusterSize(OptionReader options) throws BlockException {
        long bytes = options.bytes("cluster_size", CreateOptions.CLUSTER_SIZE_DEFAULT);
        return (int) Math.min(bytes, Integer.MAX_VALUE);
    }

    private static CreateOptions withSize(CreateOptions o, long bytes) {
        return new CreateOptions(
                bytes,
                o.version(),
                o.clusterSize(),
                o.refcountBits(),
                o.backingFile(),
                o.backingFormat(),
                o.lazyRefcounts(),
                o.extendedL2(),
                o.compressionType(),
                o.dataFile(),
                o.dataFileRaw(),
                o.preallocation());
    }

    @Override
    public String announcement(String file) {
        CreateOptions o = options;
        StringBuilder text = new StringBuilder("Formatting '%s', fmt=qcow2".formatted(file));
        add(text, "cluster_size", o.clusterSize());
        add(text, "extended_l2", onOff(o.extendedL2()));
        if (o.preallocation() != Preallocation.OFF) {
            add(text, "preallocation", o.preallocation().label());
        }
        add(text, "compression_type", o.compressionType().label());
        add(text, "size", o.size());
        add(text, "compat", compat);
        add(text, "backing_file", o.backingFile());
        add(text, "backing_fmt", o.backingFormat());
        add(text, "data_file", o.dataFile());
        add(text, "data_file_raw", o.dataFileRaw() ? "on" : null);
        add(text, "lazy_refcounts", onOff(o.lazyRefcounts()));
        add(text, "refcount_bits", o.refcountBits());
        return text.toString();
    }

    private static void add(StringBuilder text, String key, @Nullable Object value) {
        if (value != null) {
            text.append(' ').append(key).append('=').append(value);
        }
    }

    private static String onOff(boolean value) {
        return value ? "on" : "off";
    }

    @Override
    public void make(String file, String cache) throws IOException {
        try (OpenImage holder = NewImage.openHolder(file, cache)) {
            Gate gate = holder.connect(false);
            String dataFile = options.dataFile();
            if (dataFile == null) {
                Qcow2Creator.create(gate, null, options);
                return;
            }
            try (OpenImage data =
                    NewImage.openHolder(ImageName.relativeTo(file, dataFile), cache)) {
                Gate dataGate = data.connect(false);
                dataGate.resize(0);
                Qcow2Creator.create(gate, dataGate, options);
            }
        }
    }
}
