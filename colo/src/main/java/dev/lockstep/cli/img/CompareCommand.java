package dev.lockstep.cli.img;

import dev.lockstep.block.copy.Comparison;
import dev.lockstep.block.copy.CopyOptions;
import dev.lockstep.block.copy.ZeroSearch;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.util.OptionalLong;
import java.util.concurrent.Callable;

/// `lockstep img compare`.
@Command(
        name = "compare",
        description = {
            "Tell whether two images have the same content, whatever their formats.",
            "",
            "If one is longer, what it has more must read as zeroes. The status is 0 if they are"
                    + " equal, 1 if not, 2 if one cannot be opened and 4 if one cannot be read."
        },
        footer = {"", "Example:", "  lockstep img compare -f raw a.raw -F qcow2 b.qcow2"})
final class CompareCommand implements Callable<Integer> {
    private static final int EQUAL = 0;
    private static final int DIFFERENT = 1;
    private static final int NOT_OPENED = 2;
    private static final int NOT_READ = 4;

    /// What qemu-img counts in where contents differ.
    private static final long SECTOR_BYTES = 512;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Mixin private ImageArguments image = new ImageArguments();

    @Option(
            names = "-F",
            paramLabel = "FMT",
            description = "The second image's format. Default: found out by looking.")
    private @Nullable String secondFormat;

    @Option(names = "-T", paramLabel = "CACHE", description = "The cache mode. Default: writeback.")
    private String cache = "writeback";

    @Option(
            names = "-s",
            description =
                    "Lengths must be the same too, and what is allocated in one only differs.")
    private boolean strict;

    @Option(names = "-p", description = "Show progress in a terminal.")
    private boolean progress;

    @Option(names = "-q", description = "Print nothing: the status tells.")
    private boolean quiet;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the images.")
    private boolean forceShare;

    @Parameters(index = "0", paramLabel = "FILE1", description = "One image.")
    @SuppressWarnings("NullAway.Init")
    private String first;

    @Parameters(index = "1", paramLabel = "FILE2", description = "The other.")
    @SuppressWarnings("NullAway.Init")
    private String second;

    @Override
    public Integer call() throws IOException {
        try (OpenImage left = Images.openToRead(image.spec(first), cache, forceShare)) {
            try (OpenImage right =
                    Images.openToRead(image.spec(second, secondFormat), cache, forceShare)) {
                return compare(left, right);
            }
        } catch (Unreadable e) {
            return tell(e, NOT_READ);
        } catch (IOException e) {
            return tell(e, NOT_OPENED);
        }
    }

    /// Reading has failed, after both images were opened.
    private static final class Unreadable extends IOException {
        private static final long serialVersionUID = 1L;

        Unreadable(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }

    private int tell(IOException e, int status) {
        System.err.println(spec.qualifiedName() + ": " + e.getMessage());
        return status;
    }

    private int compare(OpenImage leftImage, OpenImage rightImage) throws Unreadable {
        Gate left = leftImage.connect(true);
        Gate right = rightImage.connect(true);
        if (strict && left.size() != right.size()) {
            return say(DIFFERENT, "Strict mode: Image size mismatch!");
        }
        try {
            OptionalLong allocation =
                    strict
                            ? Allocation.difference(
                                    left, Layers.of(leftImage), right, Layers.of(rightImage))
                            : OptionalLong.empty();
            OptionalLong content = contentDifference(left, right);
            if (allocation.isPresent()
                    && allocation.getAsLong() <= content.orElse(Long.MAX_VALUE)) {
                return say(
                        DIFFERENT,
                        "Strict mode: Offset %d block status mismatch!"
                                .formatted(allocation.getAsLong()));
            }
            if (left.size() != right.size() && !quiet) {
                System.out.println("Warning: Image size mismatch!");
            }
            return content.isPresent()
                    ? say(
                            DIFFERENT,
                            "Content mismatch at offset %d!"
                                    .formatted(content.getAsLong() & -SECTOR_BYTES))
                    : say(EQUAL, "Images are identical.");
        } catch (IOException e) {
            throw new Unreadable(e);
        }
    }

    private OptionalLong contentDifference(Gate left, Gate right) throws IOException {
        long common = Math.min(left.size(), right.size());
        long total = Math.max(left.size(), right.size());
        Gate longer = left.size() == total ? left : right;
        Comparison comparison = new Comparison(left, right, common, CopyOptions.DEFAULT);
        ZeroSearch tail = new ZeroSearch(longer, common, total, CopyOptions.DEFAULT);
        try (TerminalProgress telling =
                TerminalProgress.start(
                        progress && !quiet,
                        () -> comparison.doneBytes() + tail.doneBytes(),
                        total)) {
            OptionalLong differing = comparison.run();
            if (differing.isEmpty()) {
                differing = tail.run();
            }
            telling.complete();
            return differing;
        }
    }

    private int say(int status, String sentence) {
        if (!quiet) {
            System.out.println(sentence);
        }
        return status;
    }
}
