package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.filter.throttle.Limits;
import dev.lockstep.block.filter.throttle.Rate;
import dev.lockstep.block.filter.throttle.ThrottleDevice;
import dev.lockstep.block.filter.throttle.ThrottleGroup;
import dev.lockstep.block.format.Layer;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.job.CommitJob;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.util.concurrent.Callable;

/// `lockstep img commit`.
@Command(
        name = "commit",
        description = {
            "Bring what an image has into the image below it, and empty it.",
            "",
            "The image below becomes as long as the image, if it is shorter. If that does not"
                    + " succeed, or Ctrl-C ends it, the image is what it was. With -b nothing is"
                    + " emptied, and images between the two are of no use by themselves afterwards."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img commit snapshot.qcow2",
            "  lockstep img commit -b base.qcow2 -p top.qcow2"
        })
final class CommitCommand implements Callable<Integer> {
    @Mixin private ImageFile image = new ImageFile();

    @Option(
            names = "-b",
            paramLabel = "BASE",
            description = "The image below to bring it into. Default: the first one below.")
    private @Nullable String base;

    @Option(names = "-d", description = "Do not empty the image: it is to be dropped.")
    private boolean drop;

    @Option(
            names = "-r",
            paramLabel = "RATE",
            description = "Write at most so many bytes a second.")
    private @Nullable String rate;

    @Option(names = "-t", paramLabel = "CACHE", description = "The cache mode. Default: writeback.")
    private String cache = "writeback";

    @Mixin private Telling telling = new Telling();

    @Override
    public Integer call() throws IOException {
        boolean kept = drop || base != null;
        ThrottleGroup limit = limit();
        try (OpenChain chain = OpenChain.open(image.spec(), base, cache, kept)) {
            chain.warnOfGuesses();
            Layer emptied = kept ? null : layer(chain);
            Gate target = chain.baseGate();
            Gate limited = limit == null ? target : new Gate(new ThrottleDevice(target, limit));
            JobRun.run(new CommitJob(chain.topGate(), chain.layers(), limited), telling.progress());
            if (emptied != null) {
                emptied.makeEmpty();
            }
        }
        if (!telling.quiet()) {
            System.out.println("Image committed.");
        }
        return 0;
    }

    private @Nullable ThrottleGroup limit() throws BlockException {
        if (rate == null) {
            return null;
        }
        long bytes = Sizes.parse("-r", rate);
        if (bytes == 0 || bytes > Rate.MAX) {
            throw new BlockException(Kind.INVALID, "-r %s is no rate to write at".formatted(rate));
        }
        Limits.Split writes =
                new Limits.Split(Rate.UNLIMITED, Rate.UNLIMITED, new Rate(bytes, 0, 1));
        return new ThrottleGroup(new Limits(Limits.Split.UNLIMITED, writes, 0));
    }

    private Layer layer(OpenChain chain) throws BlockException {
        if (chain.top().bare() instanceof Layer layer) {
            return layer;
        }
        throw new BlockException(
                Kind.UNSUPPORTED,
                "%s: a %s image cannot be emptied: say -d"
                        .formatted(image.name(), chain.top().driver()));
    }
}
