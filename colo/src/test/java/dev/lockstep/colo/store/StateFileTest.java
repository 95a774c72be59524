package dev.lockstep.colo.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

class StateFileTest {
    private static final Identity FIRST = Identity.first(new Nonce(0x0123456789abcdefL, -1));

    private static final Path DISK = Path.of("/nowhere/disk.raw");

    @TempDir private Path folder;

    @Test
    void a_new_file_holds_nothing() throws IOException {
        try (StateFile file = StateFile.open(state(), DISK)) {
            assertEquals(Optional.empty(), file.record());
        }
    }

    @Test
    void every_standing_is_found_again() throws IOException {
        long epoch = 0;
        for (Standing standing : Standing.values()) {
            for (boolean flag : new boolean[] {false, true}) {
                Identity identity = FIRST.branch(new Nonce(epoch, 7)).at(++epoch);
                DurableRecord record = new DurableRecord(standing, identity, flag, !flag);
                store(record);
                assertEquals(Optional.of(record), load());
            }
        }
    }

    @Test
    void the_longest_line_of_ancestors_fits() throws IOException {
        Identity identity = FIRST;
        for (int index = 0; index < Identity.ANCESTORS_MAX * 2; index++) {
            identity = identity.branch(new Nonce(-1, -1 - index));
        }
        DurableRecord record = following(Long.MAX_VALUE).of(identity.at(Long.MAX_VALUE));
        store(record);
        assertEquals(Optional.of(record), load());
        assertTrue(new Slot(Long.MAX_VALUE, record).encode().length <= Slot.BYTES_MAX);
    }

    @Test
    void a_slot_torn_at_any_byte_gives_way_to_the_other_which_counts_as_open() throws IOException {
        store(following(1));
        store(following(2));
        Path newer = StateFile.slot(state(), 1);
        byte[] whole = Files.readAllBytes(newer);
        for (int length = 0; length < whole.length; length++) {
            Files.write(newer, Arrays.copyOf(whole, length));
            assertEquals(Optional.of(following(1).opened()), load(), "torn at " + length);
        }
        Files.write(newer, whole);
        assertEquals(Optional.of(following(2)), load());
    }

    @Test
    void any_flipped_bit_is_noticed() throws IOException {
        store(following(1));
        store(following(2));
        Path newer = StateFile.slot(state(), 1);
        byte[] whole = Files.readAllBytes(newer);
        for (int bit = 0; bit < whole.length * Byte.SIZE; bit++) {
            byte[] flipped = whole.clone();
            flipped[bit / Byte.SIZE] ^= (byte) (1 << (bit % Byte.SIZE));
            Files.write(newer, flipped);
            assertEquals(Optional.of(following(1).opened()), load(), "bit " + bit);
        }
    }

    @Test
    void a_missing_slot_makes_the_other_count_as_open() throws IOException {
        store(following(1));
        store(following(2));
        store(following(3));
        Files.delete(StateFile.slot(state(), 0));
        assertEquals(Optional.of(following(2).opened()), load());
    }

    @Test
    void two_damaged_slots_are_refused_with_what_to_do() throws IOException {
        store(following(1));
        store(following(2));
        for (int slot = 0; slot < 2; slot++) {
            Files.write(StateFile.slot(state(), slot), new byte[] {'x'});
        }
        IOException refused = assertThrows(IOException.class, () -> StateFile.open(state(), DISK));
        assertTrue(refused.toString().contains("damaged in both its slots"), refused.toString());
        assertTrue(refused.toString().contains("start with a sync"), refused.toString());
    }

    @Test
    void a_crash_before_the_rename_leaves_the_record_before() throws IOException {
        store(following(1));
        Files.write(folder.resolve("disk.lockstep.tmp"), new byte[] {'l', 'o'});
        assertEquals(Optional.of(following(1)), load());
        store(following(2));
        assertEquals(Optional.of(following(2)), load());
    }

    @Test
    void a_huge_slot_is_not_read_whole() throws IOException {
        store(following(1));
        store(following(2));
        Files.write(StateFile.slot(state(), 1), new byte[1 << 20]);
        assertEquals(Optional.of(following(1).opened()), load());
    }

    @Test
    void a_second_opener_in_this_process_is_refused() throws IOException {
        try (StateFile first = StateFile.open(state(), DISK)) {
            IOException refused =
                    assertThrows(IOException.class, () -> StateFile.open(state(), DISK));
            assertTrue(refused.toString().contains("in use by another process"));
            first.store(following(1));
        }
        assertEquals(Optional.of(following(1)), load());
    }

    @Test
    void a_second_process_is_refused() throws IOException, InterruptedException {
        try (StateFile first = StateFile.open(state(), DISK)) {
            Process second =
                    new ProcessBuilder(
                                    Path.of(System.getProperty("java.home"), "bin", "java")
                                            .toString(),
                                    "-cp",
                                    System.getProperty("java.class.path"),
                                    Opener.class.getName(),
                                    state().toString())
                            .redirectErrorStream(true)
                            .start();
            String said =
                    new String(second.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(second.waitFor(30, TimeUnit.SECONDS));
            assertTrue(said.contains("in use by another process"), said);
            first.store(following(1));
        }
    }

    @Test
    void a_full_file_system_is_reported_and_the_record_before_survives()
            throws IOException, InterruptedException {
        Path small = Files.createDirectory(folder.resolve("small"));
        run("mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", small.toString());
        try {
            Path path = small.resolve("disk.lockstep");
            try (StateFile file = StateFile.open(path, DISK)) {
                file.store(following(1));
                fill(small.resolve("filler"));
                IOException refused =
                        assertThrows(IOException.class, () -> file.store(following(2)));
                assertTrue(refused.toString().contains("cannot be written"), refused.toString());
                assertTrue(refused.toString().contains(path.toString()), refused.toString());
                Files.delete(small.resolve("filler"));
                assertThrows(IOException.class, () -> file.store(following(3)));
            }
            try (StateFile file = StateFile.open(path, DISK)) {
                assertEquals(Optional.of(following(1)), file.record());
                file.store(following(4));
                assertEquals(Optional.of(following(4)), file.record());
            }
        } finally {
            run("umount", small.toString());
        }
    }

    @Test
    void a_folder_that_does_not_exist_is_named() {
        Path path = folder.resolve("nowhere").resolve("disk.lockstep");
        IOException refused = assertThrows(IOException.class, () -> StateFile.open(path, DISK));
        assertTrue(refused.toString().contains(path.toString()), refused.toString());
    }

    @Test
    void with_another_disk_nothing_counts_as_clean_and_with_the_same_one_renamed_it_does()
            throws IOException {
        Path disk = Files.createFile(folder.resolve("disk.raw"));
        DurableRecord clean = following(3);
        store(disk, clean);
        Path renamed = Files.move(disk, folder.resolve("renamed.raw"));
        assertEquals(Optional.of(clean), load(renamed));
        Path copy = Files.createFile(folder.resolve("copy.raw"));
        for (int start = 0; start < 2; start++) {
            assertEquals(Optional.of(clean.opened()), load(copy));
        }
        store(copy, clean);
        assertEquals(Optional.of(clean), load(copy));
        assertEquals(Optional.of(clean.opened()), load(renamed));
    }

    private void store(Path disk, DurableRecord record) throws IOException {
        try (StateFile file = StateFile.open(state(), disk)) {
            file.store(record);
            file.store(record);
        }
    }

    private Optional<DurableRecord> load(Path disk) throws IOException {
        try (StateFile file = StateFile.open(state(), disk)) {
            return file.record();
        }
    }

    private Path state() {
        return folder.resolve("disk.lockstep");
    }

    private void store(DurableRecord record) throws IOException {
        try (StateFile file = StateFile.open(state(), DISK)) {
            file.store(record);
            assertEquals(Optional.of(record), file.record());
        }
    }

    private Optional<DurableRecord> load() throws IOException {
        try (StateFile file = StateFile.open(state(), DISK)) {
            return file.record();
        }
    }

    private static DurableRecord following(long epoch) {
        return new DurableRecord(Standing.FOLLOWING, FIRST.at(epoch), false, true);
    }

    private static void fill(Path file) {
        assertThrows(IOException.class, () -> Files.write(file, new byte[1 << 20]));
    }

    private static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), String.join(" ", command) + ": " + said);
    }

    /// Another process that opens the same state.
    static final class Opener {
        private Opener() {}

        /// Opens the state named by the argument, and says how it went.
        public static void main(String[] arguments) {
            try (StateFile file = StateFile.open(Path.of(arguments[0]), DISK)) {
                System.out.println("opened " + file.record());
            } catch (IOException e) {
                System.out.println(e.getMessage());
            }
        }
    }
}
