package dev.lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Folder;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;

class CacheTest {
    private static final int SIZE = 2 << 20;

    @TempDir(factory = Folder.class)
    private Path folder;

    /// Each slice of a table maps 32 KiB here, and the smallest cache has eight.
    @Test
    void one_request_may_change_more_tables_than_the_cache_holds() throws Exception {
        Recipe recipe = Recipe.of("cluster_size=512", SIZE);
        Path image = folder.resolve("image.qcow2");
        recipe.create(image);
        byte[] bytes = BlockDeviceContract.randomBytes(new Random(1), SIZE);
        try (OpenImage opened = OpenImage.open(recipe, image, false)) {
            Gate gate = opened.gate();
            assertTimeoutPreemptively(
                    Duration.ofMinutes(1),
                    () -> gate.write(0, ByteBuffer.wrap(bytes), WriteFlag.NONE));
            assertArrayEquals(bytes, DiskModel.read(gate, 0, SIZE));
            assertTimeoutPreemptively(
                    Duration.ofMinutes(1), () -> gate.zero(0, SIZE, WriteFlag.UNMAP));
            assertArrayEquals(new byte[SIZE], DiskModel.read(gate, 0, SIZE));
        }
        Peer.checkClean("closed", image);
    }
}
