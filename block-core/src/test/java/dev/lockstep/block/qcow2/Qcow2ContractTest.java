package dev.lockstep.block.qcow2;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.Host;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;

/// The contract for images that `qemu-img` made, in many of their forms; it checks each afterwards.
class Qcow2ContractTest {
    /// Images with some creation options.
    abstract static class WithOptions extends BlockDeviceContract {
        private final String options;
        @TempDir private @Nullable Path folder;
        private @Nullable FileDevice file;

        WithOptions(String options) {
            this.options = options;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            Host.run(
                    "qemu-img",
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-o",
                    options,
                    path().toString(),
                    Integer.toString(contents.length));
            BlockDevice device = open();
            fill(device, contents);
            return device;
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws Exception {
            checkHealth(device);
            return open();
        }

        /// Closed images have no leaks either.
        @Override
        protected void checkHealth(BlockDevice device) throws Exception {
            device.close();
            Objects.requireNonNull(file).close();
            Host.run("qemu-img", "check", "-q", path().toString());
        }

        private BlockDevice open() throws IOException {
            file = FileDevice.open(FileOptions.of(path()));
            return Qcow2Device.open(new Gate(file), null, null, Qcow2Options.DEFAULTS, false);
        }

        private Path path() {
            return Objects.requireNonNull(folder).resolve("disk.qcow2");
        }
    }

    @Nested
    class Default extends WithOptions {
        Default() {
            super("compat=1.1");
        }
    }

    @Nested
    class Version2 extends WithOptions {
        Version2() {
            super("compat=0.10");
        }
    }

    @Nested
    class TinyClusters extends WithOptions {
        TinyClusters() {
            super("cluster_size=512");
        }
    }

    @Nested
    class LargestClusters extends WithOptions {
        LargestClusters() {
            super("cluster_size=2M");
        }
    }

    @Nested
    class Subclusters extends WithOptions {
        Subclusters() {
            super("extended_l2=on,cluster_size=16k");
        }
    }

    @Nested
    class LazyRefcounts extends WithOptions {
        LazyRefcounts() {
            super("lazy_refcounts=on,cluster_size=4k");
        }
    }

    @Nested
    class OneBitRefcounts extends WithOptions {
        OneBitRefcounts() {
            super("refcount_bits=1,cluster_size=1k");
        }
    }

    @Nested
    class WideRefcounts extends WithOptions {
        WideRefcounts() {
            super("refcount_bits=64,cluster_size=512");
        }
    }

    @Nested
    class Preallocated extends WithOptions {
        Preallocated() {
            super("preallocation=metadata,cluster_size=8k");
        }
    }
}
