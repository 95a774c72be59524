package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.open.Option;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.image.KeyValues;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/// An image that is to be made: what `-o`, `-b`, `-F` and SIZE say, understood and complete.
sealed interface NewImage permits NewOverlay, NewQcow2, NewQed, NewRaw {
    /// The formats that can be made.
    List<String> FORMATS = List.of("overlay", "qcow2", "qed", "raw");

    /// What qemu-img prints first.
    String announcement(String file);

    /// Makes it, in place of what is there.
    ///
    /// @param file its name
    /// @param cache the cache mode that it is written with
    void make(String file, String cache) throws IOException;

    /// What is asked for.
    ///
    /// @param format its format
    /// @param options the values of `-o`, each with commas between its parts
    /// @param bytes its length, or -1 if nobody has said
    /// @param backing `-b`, or null
    /// @param backingFormat `-F`, or null
    record Request(
            String format,
            List<String> options,
            long bytes,
            @Nullable String backing,
            @Nullable String backingFormat) {
        boolean isHelp() {
            return options.contains("help") || options.contains("?");
        }

        Request withBytes(long length) {
            return new Request(format, options, length, backing, backingFormat);
        }

        OptionReader reader() throws BlockException {
            return new OptionReader("the format '%s'".formatted(format), tree());
        }

        /// All of it as a tree, in which what has an option of its own wins.
        private Options tree() throws BlockException {
            Options tree = Options.EMPTY;
            try {
                for (String part : options) {
                    for (var each : KeyValues.parse(part).values().entrySet()) {
                        tree = tree.with(each.getKey(), each.getValue());
                    }
                }
            } catch (IllegalArgumentException e) {
                throw new BlockException(Kind.INVALID, "-o: " + e.getMessage(), e);
            }
            tree = backing == null ? tree : tree.with("backing_file", backing);
            tree = backingFormat == null ? tree : tree.with("backing_fmt", backingFormat);
            return bytes < 0 ? tree : tree.with("size", new Option.Whole(bytes));
        }
    }

    /// Understands a request.
    ///
    /// @param below finds what is to lie below the image
    static NewImage of(Request request, NewBacking below) throws IOException {
        OptionReader reader = request.reader();
        return switch (request.format()) {
            case "raw" -> NewRaw.read(reader);
            case "qcow2" -> NewQcow2.read(reader, below);
            case "qed" -> NewQed.read(reader, below);
            case "overlay" -> NewOverlay.read(reader, below);
            default ->
                    throw new BlockException(
                            Kind.INVALID,
                            "no image of the format '%s' can be made; there are %s"
                                    .formatted(request.format(), String.join(", ", FORMATS)));
        };
    }

    /// The options of a format, for people.
    static String help(String format) throws BlockException {
        return "Supported options:\n"
                + switch (format) {
                    case "raw" -> NewRaw.HELP;
                    case "qcow2" -> NewQcow2.HELP;
                    case "qed" -> NewQed.HELP;
                    case "overlay" -> NewOverlay.HELP;
                    default ->
                            throw new BlockException(
                                    Kind.INVALID,
                                    "the format '%s' is not known; there are %s"
                                            .formatted(format, String.join(", ", FORMATS)));
                };
    }

    /// Opens the file or device that is to hold an image, and makes it if it is a file.
    static OpenImage openHolder(String file, String cache) throws IOException {
        ImageSpec spec = new ImageSpec(file, "raw", false);
        NewFile.createIfMissing(spec);
        return Images.openToResize(spec, cache);
    }
}
