package dev.lockstep.block.qcow2;

import dev.lockstep.block.Folder;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Random;

/// The refcount table runs over and moves, several times where clusters are small and counts wide.
class RefcountGrowthTest {
    private static final int PIECE = 64 << 10;
    private static final int PIECES = 128;

    @TempDir(factory = Folder.class)
    private Path folder;

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 64})
    void images_stay_right_while_their_refcount_table_moves(int bits) throws Exception {
        Random random = new Random(Seeds.next("RefcountGrowthTest"));
        for (int turn = 0; turn < 4; turn++) {
            String image = folder.resolve("disk.qcow2").toString();
            String options = "cluster_size=512,refcount_bits=" + bits;
            String size = Integer.toString(PIECES * PIECE);
            Host.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, size);
            try (FileDevice file = FileDevice.open(FileOptions.of(Path.of(image)));
                    Qcow2Device device =
                            Qcow2Device.open(
                                    new Gate(file), null, null, Qcow2Options.DEFAULTS, false)) {
                churn(new Gate(device), random);
            }
            Host.run("qemu-img", "check", image);
        }
    }

    private static void churn(Gate gate, Random random) throws Exception {
        for (int step = 0; step < 500; step++) {
            long offset = (long) random.nextInt(PIECES) * PIECE;
            switch (random.nextInt(4)) {
                case 0 -> gate.zero(offset, PIECE, WriteFlag.UNMAP);
                case 1 -> gate.flush();
                default -> {
                    int length = 512 * random.nextInt(1, PIECE / 512);
                    gate.write(offset, ByteBuffer.allocate(length), WriteFlag.NONE);
                }
            }
        }
    }
}
