package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep img snapshot`.
@Command(
        name = "snapshot",
        description = {
            "List the snapshots inside an image, or make, apply or delete one.",
            "",
            "A snapshot is named by its tag or its ID. Applying one drops what was written since."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep img snapshot -l disk.qcow2",
            "  lockstep img snapshot -c before-upgrade disk.qcow2"
        })
final class SnapshotCommand implements Callable<Integer> {
    /// What to do; nothing is to list them.
    static final class Action {
        @Option(names = "-l", description = "List them, as without any of these.")
        private boolean ignored;

        @Option(names = "-c", paramLabel = "TAG", description = "Make one.")
        private @Nullable String create;

        @Option(names = "-a", paramLabel = "SNAPSHOT", description = "Go back to one.")
        private @Nullable String apply;

        @Option(names = "-d", paramLabel = "SNAPSHOT", description = "Delete one.")
        private @Nullable String delete;

        private boolean changes() {
            return create != null || apply != null || delete != null;
        }
    }

    @Mixin private ImageFile image = new ImageFile();

    @ArgGroup private Action action = new Action();

    @Option(names = "-q", description = "Print nothing but errors.")
    private boolean quiet;

    @Option(
            names = {"-U", "--force-share"},
            description = "Others may be writing to the image.")
    private boolean forceShare;

    @Override
    public Integer call() throws IOException {
        if (action.changes()) {
            change();
        } else {
            list();
        }
        return 0;
    }

    private void list() throws IOException {
        try (Holder holder =
                Holder.open(image.spec(), Images.inherited(true, "writeback", forceShare))) {
            if (!holder.format().equals("qcow2")) {
                throw hasNone(holder.format());
            }
            List<SnapshotEntry> snapshots = QcowFacts.read(holder.gate()).snapshots();
            if (!quiet && !snapshots.isEmpty()) {
                System.out.print(SnapshotTable.of(snapshots));
            }
        }
    }

    private void change() throws IOException {
        try (OpenImage opened = Images.openToResize(image.spec(), "writeback")) {
            if (!(opened.image().bare() instanceof Qcow2Device device)) {
                throw hasNone(opened.image().driver());
            }
            if (action.create != null) {
                SnapshotEntry _ = device.createSnapshot(action.create, Instant.now());
            }
            if (action.apply != null) {
                SnapshotEntry _ = device.applySnapshot(action.apply);
            }
            if (action.delete != null) {
                SnapshotEntry _ = device.deleteSnapshot(action.delete);
            }
            device.flush();
        }
    }

    private BlockException hasNone(String format) {
        return new BlockException(
                Kind.UNSUPPORTED,
                "%s is of the format %s: only qcow2 images have snapshots inside"
                        .formatted(image.name(), format));
    }
}
