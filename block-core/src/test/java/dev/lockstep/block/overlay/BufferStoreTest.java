package dev.lockstep.block.overlay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

class BufferStoreTest {
    @TempDir private Path folder = Path.of("");

    @Test
    void a_folder_is_created_if_missing_and_nothing_is_left_in_it() throws Exception {
        Path deep = folder.resolve("a/b");
        BlockDevice store = BufferStore.inFolder(deep).create("hidden", 1 << 20);
        try (var files = Files.list(deep)) {
            assertEquals(List.of(), files.toList());
        }
        new Gate(store).flush();
        store.close();
    }

    @Test
    void a_folder_that_cannot_be_one_is_named() throws Exception {
        Path file = Files.createFile(folder.resolve("file"));
        BufferStore stores = BufferStore.inFolder(file);
        BlockDeviceContract.assertKind(Kind.IO, () -> stores.create("hidden", 1 << 20));
    }

    /// What is common to overlays whose store is a file of some sort.
    abstract static class OverStore extends BlockDeviceContract {
        abstract BufferStore stores();

        @Override
        protected BlockDevice create(byte[] contents) throws Exception {
            Gate below = new Gate(new MemoryDevice(contents.length));
            fill(below, contents);
            BlockDevice store = stores().create("active", contents.length);
            return new BufferOverlay("active", below, store, 4096, ByteBudget.unlimited());
        }

        @Test
        void clusters_of_a_page_are_written_without_blocking() throws Exception {
            byte[] ones = new byte[4096];
            Arrays.fill(ones, (byte) 1);
            BlockDevice device = create(new byte[1 << 20]);
            Gate gate = new Gate(device);
            assertTrue(gate.writeNow(8192, direct(ones)));
            assertFalse(gate.writeNow(12_289, direct(ones)));
            device.close();
        }
    }

    @Nested
    class InMemory extends OverStore {
        @Override
        BufferStore stores() {
            return BufferStore.inMemory();
        }
    }

    @Nested
    class InFolder extends OverStore {
        @Override
        BufferStore stores() {
            return BufferStore.inFolder(folder);
        }
    }
}
