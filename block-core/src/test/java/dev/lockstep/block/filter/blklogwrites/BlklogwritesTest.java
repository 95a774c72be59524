package dev.lockstep.block.filter.blklogwrites;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Seeds;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.filter.Script;
import dev.lockstep.block.filter.Script.Kind;
import dev.lockstep.block.filter.Tree;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;

class BlklogwritesTest extends BlockDeviceContract {
    private static final int DISK_BYTES = 64 << 10;

    /// Not FUA, which qemu 7.2 makes a flush of.
    private static final List<Kind> KINDS =
            List.of(Kind.WRITE, Kind.WRITE, Kind.ZERO, Kind.DISCARD, Kind.READ);

    @TempDir Path folder;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        MemoryDevice memory = new MemoryDevice(contents.length);
        fill(memory, contents);
        Path log = Files.createFile(folder.resolve("contract.log"));
        Gate file = new Gate(FileDevice.open(FileOptions.of(log)));
        return new BlklogwritesDevice(new Gate(memory), new WriteLog(file, 512, 100, false));
    }

    private String logged(Path disk, Path log, String... more) {
        return "driver=blklogwrites,discard=unmap,file.driver=file,file.filename=%s,log.driver=file,log.filename=%s%s"
                .formatted(disk, log, more.length == 0 ? "" : "," + String.join(",", more));
    }

    private Path file(String name, int bytes) throws Exception {
        return Files.write(folder.resolve(name), new byte[bytes]);
    }

    @Test
    void the_log_is_byte_for_byte_that_of_qemu_also_when_it_is_gone_on_with() throws Exception {
        Random random = new Random(Seeds.next("BlklogwritesTest"));
        for (int sector : List.of(512, 4096)) {
            Path ours = file("ours", DISK_BYTES);
            Path theirs = file("theirs", DISK_BYTES);
            Path ourLog = file("ours.log", 0);
            Path theirLog = file("theirs.log", 0);
            for (String option : List.of("log-sector-size=" + sector, "log-append=on")) {
                String[] options = {option, "log-super-update-interval=7"};
                List<Script.Operation> operations =
                        new ArrayList<>(
                                Script.random(random, KINDS, 30, DISK_BYTES, sector).operations());
                // qemu flushes what is not when it ends, and logs that.
                operations.add(new Script.Operation(Kind.WRITE, 0, sector, 1));
                operations.add(new Script.Operation(Kind.FLUSH, 0, 0, 0));
                Script script = new Script(operations);
                List<String> expected = script.runByQemu(logged(theirs, theirLog, options));
                try (Tree tree = Tree.of(logged(ours, ourLog, options))) {
                    assertEquals(expected, script.run(tree.gate()));
                }
                assertEquals(-1, Files.mismatch(theirs, ours), script::toString);
                assertEquals(-1, Files.mismatch(theirLog, ourLog), script::toString);
            }
            assertArrayEquals(Files.readAllBytes(ours), replayed(ourLog, DISK_BYTES));
        }
    }

    private static byte[] replayed(Path log, int bytes) throws Exception {
        byte[] disk = new byte[bytes];
        for (Replay.Logged record : Replay.of(log).records()) {
            disk = record.applyTo(disk);
        }
        return disk;
    }

    @Test
    void a_log_tells_what_was_durable_by_itself_and_what_was_given_up() throws Exception {
        Path log = file("log", 0);
        try (Tree tree = Tree.of(logged(file("disk", DISK_BYTES), log))) {
            Gate gate = tree.gate();
            gate.write(512, ByteBuffer.wrap(new byte[] {1, 2, 3}), WriteFlag.DURABLE);
            gate.zero(4096, 1024, Set.of(WriteFlag.FUA, WriteFlag.MAY_UNMAP));
            gate.discard(8192, 512);
            gate.flush();
        }
        List<Replay.Logged> records = Replay.of(log).records();
        assertEquals(
                List.of(Entry.FUA, Entry.FUA, Entry.DISCARD, Entry.FLUSH),
                records.stream().map(Replay.Logged::flags).toList());
        assertEquals(
                List.of(512L, 512L, 4096L, 1024L, 8192L, 512L, 0L, 0L),
                records.stream()
                        .flatMap(each -> List.of(each.offset(), each.length()).stream())
                        .toList());
        assertEquals(3, records.getFirst().data()[2]);
    }

    @Test
    void what_is_written_at_once_is_logged_in_the_order_that_the_disk_has() throws Exception {
        Random random = new Random(Seeds.next("BlklogwritesTest"));
        Path disk = file("disk", DISK_BYTES);
        Path log = file("log", 0);
        try (Tree tree = Tree.of(logged(disk, log))) {
            List<Thread> writers = new ArrayList<>();
            for (int writer = 0; writer < 4; writer++) {
                Script script =
                        Script.random(
                                new Random(random.nextLong()),
                                List.of(Kind.WRITE, Kind.ZERO, Kind.FLUSH),
                                200,
                                16 << 10,
                                512);
                writers.add(Thread.ofVirtual().start(() -> script.run(tree.gate())));
            }
            for (Thread writer : writers) {
                writer.join();
            }
        }
        assertEquals(4 * 200, Replay.of(log).records().size());
        assertArrayEquals(Files.readAllBytes(disk), replayed(log, DISK_BYTES));
    }

    @Test
    void what_cannot_be_gone_on_with_is_refused_with_a_reason() throws Exception {
        Path disk = file("disk", DISK_BYTES);
        Path log = file("log", 0);
        assertTrue(refusal(disk, log, "log-append=on").contains("it is empty"));
        Files.write(log, new byte[1024]);
        assertTrue(refusal(disk, log, "log-append=on").contains("does not begin like one"));
        Files.write(log, new Superblock(3, 512).encode().array());
        assertTrue(refusal(disk, log, "log-append=on").contains("ends before the entry at 0x200"));
        assertTrue(
                refusal(disk, log, "log-append=on,log-sector-size=512")
                        .contains("leave log-sector-size out"));
        assertTrue(refusal(disk, log, "log-sector-size=1000").contains("power of two"));
    }

    private String refusal(Path disk, Path log, String option) {
        return assertThrows(BlockException.class, () -> Tree.of(logged(disk, log, option)).close())
                .getMessage();
    }
}
