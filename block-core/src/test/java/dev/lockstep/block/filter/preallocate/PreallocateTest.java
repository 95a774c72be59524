package dev.lockstep.block.filter.preallocate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Host;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Script.Kind;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

class PreallocateTest extends BlockDeviceContract {
    private static final int EXTRA_BYTES = 8 << 20;
    private static final int ALIGN_BYTES = 3 << 20;

    @TempDir Path folder;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice memory = new MemoryDevice(contents.length);
        fill(memory, contents);
        return new PreallocateDevice(new Gate(memory), EXTRA_BYTES, ALIGN_BYTES);
    }

    private Path image(String name) throws Exception {
        Path image = folder.resolve(name);
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "64M");
        return image;
    }

    private static String preallocated(Path image) {
        return "driver=qcow2,file.driver=preallocate,file.prealloc-size=%d,file.prealloc-align=%d,file.file.driver=file,file.file.filename=%s"
                .formatted(EXTRA_BYTES, ALIGN_BYTES, image);
    }

    @Test
    void an_image_has_more_room_while_it_is_open_and_no_more_than_qemu_leaves_afterwards()
            throws Exception {
        Random random = new Random(Seeds.next("PreallocateTest"));
        List<Kind> kinds = List.of(Kind.WRITE, Kind.READ, Kind.FLUSH);
        Script script = Script.random(random, kinds, 40, 64 << 20, 32 << 10);
        Path ours = image("ours");
        Path theirs = image("theirs");
        List<String> expected = script.runByQemu(preallocated(theirs));
        try (Tree tree = Tree.of(preallocated(ours))) {
            assertEquals(expected, script.run(tree.gate()), script::toString);
            long length = Files.size(ours);
            assertEquals(0, length % ALIGN_BYTES);
            String blocks = Host.run("stat", "-c", "%b", ours.toString());
            assertTrue(Long.parseLong(blocks) * 512 >= EXTRA_BYTES, "the room has its place");
        }
        String checked = Host.run("qemu-img", "check", "--output=json", ours.toString());
        assertTrue(
                checked.contains("\"image-end-offset\": %d,".formatted(Files.size(ours))),
                () -> "%d bytes: %s".formatted(ours.toFile().length(), checked));
        Host.run("qemu-img", "compare", ours.toString(), theirs.toString());
        assertTrue(Files.size(theirs) < EXTRA_BYTES + (64 << 20), "qemu cuts it off as well");
    }

    @Test
    void what_was_taken_too_much_is_never_part_of_the_size_and_reads_as_zeroes_when_it_becomes_so()
            throws Exception {
        Path file = Files.write(folder.resolve("file"), new byte[512]);
        try (Tree tree =
                Tree.of(
                        "driver=preallocate,prealloc-size=1M,prealloc-align=512,file.driver=file,file.filename="
                                + file)) {
            Gate gate = tree.gate();
            gate.grow(1000);
            assertEquals(1024, gate.size());
            assertEquals((1 << 20) + 1024, Files.size(file));
            gate.resize(5120);
            assertEquals(5120, gate.size());
            assertEquals((1 << 20) + 1024, Files.size(file));
            assertThrows(BlockException.class, () -> gate.resize(10));
            gate.resize(512);
            assertEquals(512, Files.size(file));
            gate.grow(1024);
        }
        assertEquals(1024, Files.size(file));
    }

    @Test
    void an_alignment_that_is_no_multiple_of_a_sector_is_refused() {
        String refusal =
                assertThrows(
                                BlockException.class,
                                () ->
                                        Tree.of(
                                                "driver=preallocate,prealloc-align=1000,file.driver=memory"))
                        .getMessage();
        assertTrue(refusal.startsWith("'prealloc-align' is 1000"), refusal);
    }
}
