package dev.lockstep.block.filter.blkverify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Script.Kind;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

class BlkverifyTest extends BlockDeviceContract {
    private static final int DISK_BYTES = 1 << 20;

    @TempDir Path folder;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice test = new MemoryDevice(contents.length);
        MemoryDevice raw = new MemoryDevice(contents.length);
        fill(test, contents);
        fill(raw, contents);
        return new BlkverifyDevice(new Gate(test), new Gate(raw));
    }

    private String verified(String name) throws Exception {
        Path image = folder.resolve(name + ".qcow2");
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                image.toString(),
                Integer.toString(DISK_BYTES));
        Path raw = Files.write(raw(name), new byte[DISK_BYTES]);
        return "driver=blkverify,test.driver=qcow2,test.file.driver=file,test.file.filename=%s,raw.driver=file,raw.filename=%s"
                .formatted(image, raw);
    }

    private Path raw(String name) {
        return folder.resolve(name + ".raw");
    }

    private void spoil(String name, int offset) throws Exception {
        try (RandomAccessFile file = new RandomAccessFile(raw(name).toFile(), "rw")) {
            file.seek(offset);
            int before = file.read();
            file.seek(offset);
            file.write(before + 1);
        }
    }

    @Test
    void it_finds_the_same_byte_that_differs_as_qemu_does() throws Exception {
        Random random = new Random(Seeds.next("BlkverifyTest"));
        // No zeroes: qemu 7.2 fails an assertion of its own there.
        List<Kind> kinds = List.of(Kind.WRITE, Kind.READ, Kind.FLUSH);
        Script script = Script.random(random, kinds, 60, DISK_BYTES, 512);
        String ours = verified("ours");
        String theirs = verified("theirs");
        List<String> expected = script.runByQemu(theirs);
        int spoilt = random.nextInt(DISK_BYTES);
        try (Tree tree = Tree.of(ours)) {
            assertEquals(expected, script.run(tree.gate()), script::toString);
        }
        assertEquals(-1, Files.mismatch(raw("ours"), raw("theirs")), script::toString);
        spoil("ours", spoilt);
        spoil("theirs", spoilt);
        String read = "read 0 " + DISK_BYTES;
        String told = Host.outcome("qemu-io", "--image-opts", "-c", read, theirs).output();
        assertTrue(told.contains("contents mismatch at offset %d".formatted(spoilt)), told);
        try (Tree tree = Tree.of(ours)) {
            BlockException failure =
                    assertThrows(
                            BlockException.class, () -> DiskModel.read(tree.gate(), 0, DISK_BYTES));
            assertEquals(BlockException.Kind.IO, failure.kind());
            assertTrue(
                    failure.getMessage()
                            .contains("contents mismatch at offset 0x%x:".formatted(spoilt)),
                    failure.getMessage());
        }
    }

    @Test
    void a_copy_that_is_too_short_is_refused() throws Exception {
        String options = verified("short");
        Files.write(raw("short"), new byte[512]);
        String refusal =
                assertThrows(BlockException.class, () -> Tree.of(options).close()).getMessage();
        assertTrue(refusal.contains("has 512 bytes, fewer than the 1048576"), refusal);
    }
}
