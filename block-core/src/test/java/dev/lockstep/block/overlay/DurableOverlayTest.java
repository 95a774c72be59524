package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.crash.CrashStates;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Nested;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;

/// The contract for an overlay in files, whose disk may lose power at any moment.
class DurableOverlayTest {
    abstract static class InFiles extends BlockDeviceContract {
        private final int missing;
        private @Nullable OverlayFiles files;
        private byte @Nullable [] below;

        /// @param missing how much shorter the image below is
        InFiles(int missing) {
            this.missing = missing;
        }

        @Override
        protected int operations() {
            return 500;
        }

        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            byte[] shown = Arrays.copyOf(contents, contents.length - missing);
            below = shown;
            OverlayFiles made = OverlayFiles.create(shown, contents.length);
            files = made;
            BlockDevice device = made.open();
            byte[] rest = Arrays.copyOfRange(contents, shown.length, contents.length);
            new Gate(device).write(shown.length, ByteBuffer.wrap(rest), WriteFlag.NONE);
            return device;
        }

        @Override
        protected BlockDevice reopen(BlockDevice device) throws Exception {
            device.close();
            return Objects.requireNonNull(files).open();
        }

        @Override
        protected BlockDevice crash(BlockDevice device, Random random) throws Exception {
            CrashStates states = new CrashStates(Objects.requireNonNull(files).devices());
            OverlayFiles survived =
                    OverlayFiles.of(states.allAt(Long.MAX_VALUE, random, random.nextDouble()));
            files = survived;
            return survived.open();
        }

        /// The image below is as it was, and the map as the device has it at a flush.
        @Override
        protected void checkHealth(BlockDevice device) throws Exception {
            OverlayFiles now = Objects.requireNonNull(files);
            assertArrayEquals(Objects.requireNonNull(below), now.backing().contents());
            device.flush();
            DurableStore.Health health =
                    DurableStore.check(new Gate(now.map()), new Gate(now.data()));
            assertEquals(List.of(), health.damage());
            assertEquals(
                    ((BufferOverlay) device).heldBytes() / OverlayFiles.CLUSTER, health.held());
        }
    }

    @Nested
    class OverAnImageOfItsLength extends InFiles {
        OverAnImageOfItsLength() {
            super(0);
        }
    }

    @Nested
    class OverAShorterImage extends InFiles {
        OverAShorterImage() {
            super(300_001);
        }
    }
}
