package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.filter.compress.CompressDevice;
import dev.lockstep.block.filter.copyonread.CopyOnReadDevice;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.memory.NullDevice;
import dev.lockstep.block.quorum.QuorumChild;
import dev.lockstep.block.quorum.QuorumDevice;
import dev.lockstep.block.quorum.QuorumOptions;
import dev.lockstep.block.raw.RawDevice;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The openers of this module's devices, with QEMU's names for their options.
final class CoreOpeners {
    /// What `null-co` has if nobody says otherwise.
    private static final long NULL_BYTES = 1L << 30;

    /// What a file's requests are made with. All are taken, and all mean what we do anyway.
    private enum Aio {
        THREADS,
        NATIVE,
        IO_URING
    }

    private CoreOpeners() {}

    static Map<String, Opener> all() {
        return Map.ofEntries(
                Map.entry("file", CoreOpeners::file),
                Map.entry("host_device", CoreOpeners::file),
                Map.entry("raw", CoreOpeners::raw),
                Map.entry("null-co", CoreOpeners::nothing),
                Map.entry("null-aio", CoreOpeners::nothing),
                Map.entry("memory", CoreOpeners::memory),
                Map.entry("overlay", OverlayOpener::read),
                Map.entry("compress", CoreOpeners::compress),
                Map.entry("copy-on-read", CoreOpeners::copyOnRead),
                Map.entry("quorum", CoreOpeners::quorum),
                Map.entry("qcow2", Qcow2Opener::read),
                Map.entry("qed", QedOpener::read));
    }

    private static Opener.Opening file(NodeOptions options) throws BlockException {
        Path path = path(options);
        NodeOptions.Common common = options.common();
        FileOptions.Locking locking =
                options.choice("locking", FileOptions.Locking.class, FileOptions.Locking.AUTO);
        Aio aio = options.choice("aio", Aio.class, Aio.THREADS);
        if (aio == Aio.NATIVE && !common.inheritable().direct()) {
            throw options.invalid("aio=native needs cache.direct=on as well, or --cache=none");
        }
        // Read-only if the host allows no more: what QEMU adds where it would otherwise fail.
        boolean orReadOnly = options.truth("auto-read-only", false);
        FileOptions asked =
                FileOptions.of(path)
                        .with(common.cache())
                        .with(locking)
                        .with(
                                common.inheritable().unmap()
                                        ? FileOptions.Discard.UNMAP
                                        : FileOptions.Discard.IGNORE);
        if (common.inheritable().forceShare()) {
            if (!common.readOnly()) {
                throw options.invalid(
                        "'%s' needs read-only=on as well".formatted(options.whole("force-share")));
            }
            return () -> FileDevice.open(asked.sharedWithWriters());
        }
        return common.readOnly()
                ? () -> FileDevice.open(asked.asReadOnly())
                : () -> openToWrite(asked, orReadOnly);
    }

    private static Path path(NodeOptions options) throws BlockException {
        try {
            return Path.of(options.text("filename"));
        } catch (InvalidPathException e) {
            throw options.invalid("'%s': %s".formatted(options.whole("filename"), e.getReason()));
        }
    }

    private static FileDevice openToWrite(FileOptions asked, boolean orReadOnly)
            throws BlockException {
        try {
            return FileDevice.open(asked);
        } catch (BlockException e) {
            boolean refused =
                    e.kind() == BlockException.Kind.READ_ONLY
                            || e.kind() == BlockException.Kind.DENIED;
            if (!orReadOnly || !refused) {
                throw e;
            }
            return FileDevice.open(asked.asReadOnly());
        }
    }

    private static Opener.Opening raw(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        long offset = options.bytes("offset", 0);
        long size = options.bytes("size", -1);
        return () -> {
            if (size >= 0) {
                return RawDevice.window(file.gate(), offset, size);
            }
            return offset == 0 ? RawDevice.whole(file.gate()) : RawDevice.from(file.gate(), offset);
        };
    }

    private static Opener.Opening copyOnRead(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        String bottom = options.textOrNull("bottom");
        return () -> {
            if (bottom == null) {
                return new CopyOnReadDevice(file.gate());
            }
            int layer = file.layer(bottom);
            if (layer == 0) {
                throw options.invalid(
                        "'%s' is '%s', which is no image of this chain"
                                .formatted(options.whole("bottom"), bottom));
            }
            return new CopyOnReadDevice(file.gate(), layer);
        };
    }

    private static Opener.Opening nothing(NodeOptions options) throws BlockException {
        long size = options.bytes("size", NULL_BYTES);
        Duration latency = Duration.ofNanos(options.number("latency-ns", 0, Long.MAX_VALUE, 0));
        boolean knownZero = options.truth("read-zeroes", false);
        return () -> new NullDevice(size, latency, knownZero);
    }

    private static Opener.Opening memory(NodeOptions options) throws BlockException {
        long size = options.bytes("size", NULL_BYTES);
        if (size > MemoryDevice.SIZE_MAX) {
            throw options.invalid(
                    "'%s' is more than %d".formatted(options.whole("size"), MemoryDevice.SIZE_MAX));
        }
        return () -> new MemoryDevice(size);
    }

    private static Opener.Opening compress(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        return () -> new CompressDevice(file.gate());
    }

    private static Opener.Opening quorum(NodeOptions options) throws BlockException {
        List<Edge> children = options.children("children");
        QuorumOptions how =
                new QuorumOptions(
                        (int)
                                options.number(
                                        "vote-threshold",
                                        1,
                                        QuorumDevice.CHILDREN_MAX,
                                        children.size()),
                        options.choice(
                                "read-pattern",
                                QuorumOptions.ReadPattern.class,
                                QuorumOptions.ReadPattern.QUORUM),
                        options.truth("rewrite-corrupted", false));
        String name = options.common().nodeName();
        return () -> {
            List<QuorumChild> copies = new ArrayList<>();
            for (Edge child : children) {
                copies.add(new QuorumChild("children." + copies.size(), child.gate()));
            }
            return new QuorumDevice(
                    name.isEmpty() ? "quorum" : "quorum " + name, how, copies, _ -> {});
        };
    }
}
