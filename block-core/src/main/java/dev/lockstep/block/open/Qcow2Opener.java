package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.Qcow2Options;
import dev.lockstep.block.qcow2.Qcow2Options.LazyRefcounts;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Header;
import dev.lockstep.block.qcow2.layout.SnapshotEntry;
import dev.lockstep.block.qcow2.snapshot.SnapshotList;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.List;

/// The driver `qcow2`, with QEMU's names for its options.
///
///     file                        the image
///     backing                     what is read where the image has nothing; default: what it says
///     data-file                   where an image with an external data file has its data
///     lazy-refcounts              on or off; default: as the image has it
///     pass-discard-request        what a guest discards is discarded in the file; default: as
///                                 `discard`
///     pass-discard-snapshot       what deleting a snapshot frees is; default: on
///     pass-discard-other          what becomes free otherwise is; default: off
///     discard-no-unref            what is discarded keeps its place in the file; default: off
///     cache-size, l2-cache-size, l2-cache-entry-size, refcount-cache-size, cache-clean-interval
///                                 see [Qcow2Options]
///     load-snapshot               the disk as it was at a snapshot inside, by its id or name,
///                                 or by load-snapshot.id and .name; read-only; ours alone
///     overlap-check               taken and checked; here a cluster is allocated once, or refused
final class Qcow2Opener {
    private static final List<String> OVERLAP_CHECKS =
            List.of(
                    "main-header",
                    "active-l1",
                    "active-l2",
                    "refcount-table",
                    "refcount-block",
                    "snapshot-table",
                    "inactive-l1",
                    "inactive-l2",
                    "bitmap-directory");

    private static final long UINT32_MAX = (1L << 32) - 1;

    /// Sets of structures whose overwriting is to be noticed.
    private enum OverlapTemplate {
        NONE,
        CONSTANT,
        CACHED,
        ALL
    }

    private Qcow2Opener() {}

    static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        ImpliedEdge backing = options.backing();
        ImpliedEdge dataFile = options.dataFile();
        Qcow2Options how = options(options);
        boolean readOnly = options.common().readOnly();
        Snapshot snapshot = snapshot(options);
        return () -> {
            Header header = Qcow2Device.header(file.gate());
            SnapshotEntry loaded = snapshot.find(file.gate());
            Gate below = backing(backing, header);
            Gate data = dataFile(dataFile, header);
            return loaded == null
                    ? Qcow2Device.open(file.gate(), below, data, how, readOnly)
                    : Qcow2Device.openSnapshot(file.gate(), below, data, how, loaded);
        };
    }

    /// Finds what was asked for in an image, or null if it was nothing.
    @FunctionalInterface
    private interface Snapshot {
        @Nullable SnapshotEntry find(Gate file) throws BlockException;
    }

    private static Snapshot snapshot(NodeOptions options) throws BlockException {
        String key = "load-snapshot";
        if (options.isGroup(key)) {
            OptionReader group = options.group(key);
            String id = group.textOrNull("id");
            String name = group.textOrNull("name");
            return file -> snapshots(file).find(id, name);
        }
        String idOrName = options.textOrNull(key);
        return file -> idOrName == null ? null : snapshots(file).find(idOrName);
    }

    private static SnapshotList snapshots(Gate file) throws BlockException {
        return SnapshotList.read(file, Qcow2Device.header(file));
    }

    private static @Nullable Gate backing(ImpliedEdge edge, Header header) throws BlockException {
        return edge.open(orEmpty(header.backingFile()), orEmpty(header.backingFormat()));
    }

    private static @Nullable Gate dataFile(ImpliedEdge edge, Header header) throws BlockException {
        return header.has(Feature.EXTERNAL_DATA) || edge.isGiven()
                ? edge.open(orEmpty(header.externalDataFile()), "")
                : null;
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }

    private static Qcow2Options options(NodeOptions options) throws BlockException {
        readOverlapChecks(options);
        Qcow2Options defaults = Qcow2Options.DEFAULTS;
        return new Qcow2Options(
                options.has("lazy-refcounts")
                        ? options.truth("lazy-refcounts", false)
                                ? LazyRefcounts.ON
                                : LazyRefcounts.OFF
                        : LazyRefcounts.AS_IN_IMAGE,
                options.truth("pass-discard-request", options.common().inheritable().unmap()),
                options.truth("pass-discard-snapshot", defaults.passDiscardSnapshot()),
                options.truth("pass-discard-other", defaults.passDiscardOther()),
                options.truth("discard-no-unref", defaults.discardNoUnref()),
                options.bytes("cache-size", Qcow2Options.UNSAID),
                options.bytes("l2-cache-size", Qcow2Options.UNSAID),
                options.bytes("l2-cache-entry-size", Qcow2Options.UNSAID),
                options.bytes("refcount-cache-size", Qcow2Options.UNSAID),
                Duration.ofSeconds(
                        options.number(
                                "cache-clean-interval",
                                0,
                                UINT32_MAX,
                                defaults.cacheCleanInterval().toSeconds())));
    }

    private static void readOverlapChecks(NodeOptions options) throws BlockException {
        if (options.isGroup("overlap-check")) {
            OptionReader group = options.group("overlap-check");
            OverlapTemplate _ =
                    group.choice("template", OverlapTemplate.class, OverlapTemplate.CACHED);
            for (String check : OVERLAP_CHECKS) {
                boolean _ = group.truth(check, true);
            }
        } else {
            OverlapTemplate _ =
                    options.choice("overlap-check", OverlapTemplate.class, OverlapTemplate.CACHED);
        }
    }
}
