package dev.lockstep.cli.img;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.open.ImageName;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;
import dev.lockstep.block.qcow2.check.Qcow2Checker;
import dev.lockstep.block.qed.QedChecker;
import dev.lockstep.image.ImageSpec;
import dev.lockstep.qmp.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.concurrent.Callable;

/// `lockstep img check`.
@Command(
        name = "check",
        description = {
            "Check an image's metadata, and repair it.",
            "",
            "The status is 0 if nothing is wrong (any more), 2 if the image is damaged, 3 if it only"
                    + " has clusters that nobody uses, 1 if the check itself failed, and 63 if the"
                    + " format has nothing to check."
        },
        footer = {"", "Example:", "  lockstep img check -r all disk.qcow2"})
final class CheckCommand implements Callable<Integer> {
    private static final int SOUND = 0;
    private static final int FAILED = 1;
    private static final int DAMAGED = 2;
    private static final int LEAKS = 3;
    private static final int NOT_SUPPORTED = 63;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Mixin private ImageFile image = new ImageFile();

    @Option(names = "--output", paramLabel = "FORM", description = "human (the default) or json.")
    private OutputForm output = OutputForm.HUMAN;

    @Option(
            names = {"-r", "--repair"},
            paramLabel = "WHAT",
            description = "Repair leaks, or all that can be. Default: nothing.")
    private Repair repair = Repair.NONE;

    @Option(names = "-T", paramLabel = "CACHE", description = "The cache mode. Default: writeback.")
    private String cache = "writeback";

    @Option(names = "-q", description = "Print no result: the status tells.")
    private boolean quiet;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image; what is found is then not certain.")
    private boolean forceShare;

    @Override
    public Integer call() throws IOException {
        boolean readOnly = repair == Repair.NONE;
        try (Holder holder =
                Holder.open(image.spec(), Images.inherited(readOnly, cache, forceShare))) {
            CheckResult result;
            switch (holder.format()) {
                case "qcow2" ->
                        result = Qcow2Checker.check(holder.gate(), repair, System.err::println);
                case "overlay" -> result = checkOverlay(holder);
                case "qed" -> result = QedChecker.check(holder.gate(), repair, System.err::println);
                default -> {
                    System.err.println(
                            spec.qualifiedName() + ": This image format does not support checks");
                    return NOT_SUPPORTED;
                }
            }
            if (!quiet) {
                System.out.print(
                        output == OutputForm.JSON
                                ? JsonOutput.of(json(holder.format(), result))
                                : text(result));
            }
            return status(result);
        }
    }

    /// There is nothing to repair in a map: what it says is known or it is not.
    private CheckResult checkOverlay(Holder map) throws IOException {
        MapHeader header = DurableStore.header(map.gate());
        ImageSpec dataFile =
                new ImageSpec(
                        ImageName.relativeTo(map.filename(), header.dataFile()), "raw", false);
        try (Holder data = Holder.open(dataFile, Images.inherited(true, "writeback", forceShare))) {
            DurableStore.Health found = DurableStore.check(map.gate(), data.gate());
            found.damage().forEach(damage -> System.err.println("ERROR " + damage));
            return new CheckResult(
                    found.damage().size(), 0, 0, 0, 0, 0, found.clusters(), found.held(), 0, 0);
        }
    }

    private static int status(CheckResult result) {
        if (result.checkErrors() > 0) {
            return FAILED;
        }
        if (result.corruptions() > 0) {
            return DAMAGED;
        }
        return result.leaks() > 0 ? LEAKS : SOUND;
    }

    /// `ImageCheck`, which leaves out most of what is 0.
    private ObjectNode json(String format, CheckResult result) {
        ObjectNode facts = Json.object();
        facts.put("filename", image.name());
        facts.put("format", format);
        facts.put("check-errors", result.checkErrors());
        put(facts, "image-end-offset", result.imageEndOffset());
        put(facts, "corruptions", result.corruptions());
        put(facts, "leaks", result.leaks());
        put(facts, "corruptions-fixed", result.corruptionsFixed());
        put(facts, "leaks-fixed", result.leaksFixed());
        put(facts, "total-clusters", result.totalClusters());
        put(facts, "allocated-clusters", result.allocatedClusters());
        put(facts, "fragmented-clusters", result.fragmentedClusters());
        put(facts, "compressed-clusters", result.compressedClusters());
        return facts;
    }

    private static void put(ObjectNode facts, String key, long value) {
        if (value != 0) {
            facts.put(key, value);
        }
    }

    private static String text(CheckResult result) {
        StringBuilder text = new StringBuilder();
        if (result.corruptionsFixed() > 0 || result.leaksFixed() > 0) {
            text.append("The following inconsistencies were found and repaired:\n\n")
                    .append("    %d leaked clusters%n".formatted(result.leaksFixed()))
                    .append("    %d corruptions%n%n".formatted(result.corruptionsFixed()))
                    .append("Double checking the fixed image now...\n");
        }
        if (result.isClean()) {
            text.append("No errors were found on the image.\n");
        }
        add(
                text,
                result.corruptions(),
                "errors were found on the image.\n"
                        + "Data may be corrupted, or further writes to the image may corrupt it.");
        add(
                text,
                result.leaks(),
                "leaked clusters were found on the image.\n"
                        + "This means waste of disk space, but no harm to data.");
        add(text, result.checkErrors(), "internal errors have occurred during the check.");
        if (result.allocatedClusters() > 0) {
            text.append(
                    "%d/%d = %s%% allocated, %s%% fragmented, %s%% compressed clusters%n"
                            .formatted(
                                    result.allocatedClusters(),
                                    result.totalClusters(),
                                    percent(result.allocatedClusters(), result.totalClusters()),
                                    percent(
                                            result.fragmentedClusters(),
                                            result.allocatedClusters()),
                                    percent(
                                            result.compressedClusters(),
                                            result.allocatedClusters())));
        }
        if (result.imageEndOffset() > 0) {
            text.append("Image end offset: %d%n".formatted(result.imageEndOffset()));
        }
        return text.toString();
    }

    private static void add(StringBuilder text, long count, String sentence) {
        if (count > 0) {
            text.append("%n%d %s%n".formatted(count, sentence));
        }
    }

    /// Halves go to the even digit, as in C.
    private static String percent(long part, long whole) {
        return new BigDecimal(100.0 * part / whole)
                .setScale(2, RoundingMode.HALF_EVEN)
                .toPlainString();
    }
}
