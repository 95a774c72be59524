package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep img snapshot`.
@Command(
        name = "snapshot",
        description = "List the snapshots inside an image.",
        footer = {"", "Example:", "  lockstep img snapshot -l disk.qcow2"})
final class SnapshotCommand implements Callable<Integer> {
    @Mixin private ImageArguments image = new ImageArguments();

    @Option(names = "-l", description = "List them: what happens anyway.")
    private boolean ignored;

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image.")
    private boolean forceShare;

    @Parameters(index = "0", paramLabel = "FILE", description = "The image.")
    @SuppressWarnings("NullAway.Init")
    private String file;

    @Override
    public Integer call() throws IOException {
        try (Holder holder =
                Holder.open(image.spec(file), Images.inherited(true, "writeback", forceShare))) {
            if (!holder.format().equals("qcow2")) {
                throw new BlockException(
                        Kind.UNSUPPORTED,
                        "%s is a %s image: only qcow2 images have snapshots inside"
                                .formatted(file, holder.format()));
            }
            List<SnapshotEntry> snapshots = QcowFacts.read(holder.gate()).snapshots();
            if (!quiet && !snapshots.isEmpty()) {
                System.out.print(SnapshotTable.of(snapshots));
            }
        }
        return 0;
    }
}
