package dev.lockstep.colo.secondary;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.CacheMode;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.overlay.ByteBudget;
import dev.lockstep.block.overlay.DurableStore;
import dev.lockstep.block.overlay.MapHeader;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// A commit drops clusters while a flush writes down what is held. A power cut may leave what the
/// maps said when the active one was about to be written, and then it alone.
class DropOrderTest {
    /// Enough for a flush to fall into the dropping of them.
    private static final long CLUSTERS = 4 << 20;

    private static final long SIZE = CLUSTERS * Layers.CLUSTER_BYTES;
    private static final int ROUNDS = 8;

    @TempDir Path folder;
    private final List<FileDevice> files = new ArrayList<>();

    /// Whether the hidden map showed the last cluster when the active one was last written.
    private boolean shown;

    @AfterEach
    void close() {
        files.forEach(FileDevice::close);
    }

    @Test
    void the_active_map_never_gives_up_what_the_hidden_one_still_shows() throws Exception {
        Gate hiddenMap = new Gate(file("hidden.map"));
        Gate hiddenData = new Gate(file("hidden.data"));
        Gate activeMap = new Gate(file("active.map"));
        Gate activeData = new Gate(file("active.data"));
        DurableStore hidden = create(hiddenMap, hiddenData);
        create(activeMap, activeData);
        DurableStore active =
                DurableStore.open(
                        new Gate(
                                new ObservedDevice(
                                        activeMap.device(),
                                        new ObservedDevice.Observer() {
                                            @Override
                                            public void beforeWrite() {
                                                shown = showsLast(hiddenMap, hiddenData);
                                            }
                                        })),
                        activeData);
        Gate disk = new Gate(new MemoryDevice(SIZE));
        for (int round = 0; round < ROUNDS; round++) {
            // The active buffer's part is over soon, the hidden one's takes its time.
            active.hold(CLUSTERS - 1, CLUSTERS);
            hidden.hold(0, CLUSTERS);
            hidden.kept().set(0, CLUSTERS);
            Layers layers = Layers.over(disk, hidden, active, ByteBudget.unlimited());
            layers.flush();
            dropAndFlush(layers, activeMap, activeData);
        }
    }

    private void dropAndFlush(Layers layers, Gate activeMap, Gate activeData) throws Exception {
        try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
            Future<?> drop = threads.submit(() -> layers.drop(0, SIZE));
            boolean over;
            do {
                over = drop.isDone();
                layers.flush();
                assertTrue(
                        showsLast(activeMap, activeData) || !shown,
                        "a power cut would show the hidden buffer's bytes");
            } while (!over);
            drop.get();
        }
        assertFalse(showsLast(activeMap, activeData), "nothing was dropped");
    }

    private FileDevice file(String name) throws BlockException {
        FileDevice made =
                FileDevice.create(FileOptions.of(folder.resolve(name)).with(CacheMode.UNSAFE), 0);
        files.add(made);
        return made;
    }

    private static DurableStore create(Gate map, Gate data) throws BlockException {
        DurableStore.create(map, data, MapHeader.create(SIZE, Layers.CLUSTER_BYTES, "", "", ""));
        return DurableStore.open(map, data);
    }

    /// What a start would find of the last cluster.
    private static boolean showsLast(Gate map, Gate data) {
        try {
            return DurableStore.open(map, data).held().get(CLUSTERS - 1);
        } catch (BlockException e) {
            throw new AssertionError(e);
        }
    }
}
