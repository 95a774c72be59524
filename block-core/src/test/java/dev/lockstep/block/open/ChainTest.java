package dev.lockstep.block.open;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Graph;
import dev.lockstep.block.graph.Node;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.open.Option.Nothing;
import dev.lockstep.block.qcow2.create.CreateOptions;
import dev.lockstep.block.qcow2.create.Qcow2Creator;
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/// Images that name other images become one graph, or one sentence.
class ChainTest {
    private static final long MIB = 1 << 20;

    @TempDir Path folder;
    private final Graph graph = new Graph();
    private final Registry registry = Registry.ofCore();

    /// `base` has ones; `sub/mid` is longer, has twos in the second 64 KiB and says that its
    /// backing file is `../base`.
    @BeforeEach
    void makeImages() throws Exception {
        Files.createDirectory(folder.resolve("sub"));
        qemuImg("create", "-f", "qcow2", "base", "1M");
        qemuIo("write -P 1 0 1M", "base");
        qemuImg("create", "-f", "qcow2", "-b", "../base", "-F", "qcow2", "sub/mid", "2M");
        qemuIo("write -P 2 64k 64k", "sub/mid");
    }

    @Test
    void a_backing_file_is_found_beside_its_overlay_and_opened_read_only() throws Exception {
        qemuImg("create", "-f", "qcow2", "-b", "sub/mid", "-F", "qcow2", "top", "3M");
        try (Opened opened = registry.open(graph, image("top"), Inherited.NOTHING)) {
            assertEquals(
                    List.of("file", "file", "file", "qcow2", "qcow2", "qcow2"),
                    graph.nodes().stream().map(Node::driver).sorted().toList());
            assertFalse(opened.root().device().capabilities().readOnly());
            assertEquals(path("top"), opened.root().filename());
            Node mid = child(opened.root(), "backing");
            assertEquals(path("sub/mid"), mid.filename());
            assertTrue(mid.device().capabilities().readOnly());
            Node base = child(mid, "backing");
            assertEquals(path("sub/../base"), base.filename());
            assertTrue(child(base, "file").device().capabilities().readOnly());
            assertEquals(
                    List.of(1, 2, 1, 0, 0), bytes(opened, 0, 64 << 10, 128 << 10, MIB, 2 * MIB));
            write(opened, 0);
            assertEquals(List.of(7, 2), bytes(opened, 0, 64 << 10));
        }
        assertEquals(List.of(), graph.nodes());
        // Locks that stayed would refuse this.
        registry.open(graph, image("base"), Inherited.NOTHING).close();
    }

    @Test
    void options_name_another_backing_file_or_none_or_how_the_recorded_one_is_opened()
            throws Exception {
        Options mid = image("sub/mid");
        try (Opened none = open(mid.with("backing", new Nothing()))) {
            assertEquals(List.of(0, 2), bytes(none, 0, 64 << 10));
        }
        try (Opened none = open(mid.with("backing", ""))) {
            assertEquals(
                    List.of("file", "qcow2"), graph.nodes().stream().map(Node::driver).toList());
            assertEquals(0, bytes(none, 0).getFirst());
        }
        try (Opened named = open(mid.with("backing.node-name", "b"))) {
            assertEquals(List.of(1, 2), bytes(named, 0, 64 << 10));
            assertEquals("b", child(named.root(), "backing").name());
        }
        graph.add(new Node("m", "memory", "", new MemoryDevice(MIB), Map.of()));
        try (Opened other = open(mid.with("backing", "m"))) {
            assertEquals(List.of(0, 2), bytes(other, 0, 64 << 10));
        }
        Options raw = Options.EMPTY.with("driver", "file").with("filename", path("base"));
        try (Opened bytes = open(mid.with("backing", raw))) {
            assertEquals((int) 'Q', bytes(bytes, 0).getFirst());
        }
        assertRefused("does not know the option 'backing.bogus'", mid.with("backing.bogus", "1"));
    }

    @Test
    void a_backing_file_without_a_recorded_format_is_looked_at() throws Exception {
        qemuImg("create", "-f", "qcow2", "top", "1M");
        record("top", "base", null);
        try (Opened opened = open(image("top"))) {
            assertEquals("qcow2", child(opened.root(), "backing").driver());
            assertEquals(1, bytes(opened, 0).getFirst());
        }
        Files.write(folder.resolve("plain"), new byte[] {5, 5});
        record("top", "plain", null);
        try (Opened opened = open(image("top"))) {
            assertEquals("raw", child(opened.root(), "backing").driver());
            assertEquals(List.of(5, 0, 0), bytes(opened, 0, 512, MIB - 1));
            assertEquals(List.of(), opened.guessedRaw());
        }
        Files.writeString(folder.resolve("foreign"), "KDMV and more");
        record("top", "foreign", null);
        assertRefused(
                "cannot open the backing file 'foreign' of %s: %s is a vmdk image"
                        .formatted(path("top"), path("foreign")),
                image("top"));
    }

    @Test
    void a_recorded_format_counts_whatever_the_file_looks_like() throws Exception {
        qemuImg("create", "-f", "qcow2", "top", "1M");
        record("top", "base", "raw");
        try (Opened opened = open(image("top"))) {
            assertEquals((int) 'Q', bytes(opened, 0).getFirst());
        }
        record("top", "base", "vpc");
        assertRefused("the driver 'vpc' is not known", image("top"));
    }

    @Test
    void a_chain_that_leads_back_into_itself_is_refused_by_whatever_name() throws Exception {
        qemuImg("create", "-f", "qcow2", "top", "1M");
        Files.createLink(folder.resolve("hard"), folder.resolve("top"));
        Files.createSymbolicLink(folder.resolve("soft"), folder.resolve("top"));
        for (String again : List.of("top", "./sub/../top", "hard", "soft", path("top"))) {
            record("top", again, "qcow2");
            assertRefused("is above it in the same chain", image("top"));
        }
        qemuImg("create", "-f", "qcow2", "-u", "-b", "mid", "-F", "qcow2", "sub/low", "1M");
        record("sub/mid", "low", "qcow2");
        assertRefused("is above it in the same chain", image("sub/mid"));
    }

    @Test
    void a_chain_has_an_end_long_before_the_stack_has() throws Exception {
        FileDevice.create(FileOptions.of(folder.resolve("0")), 512).close();
        for (int number = 1; number <= 201; number++) {
            try (FileDevice file =
                    FileDevice.create(FileOptions.of(folder.resolve("" + number)), 512)) {
                CreateOptions small = CreateOptions.of(512);
                Qcow2Creator.create(new Gate(file), null, small);
            }
            record("" + number, "" + (number - 1), number == 1 ? "raw" : "qcow2");
        }
        try (Opened opened = open(image("200"))) {
            assertEquals(0, bytes(opened, 0).getFirst());
        }
        assertRefused("the chain has more than 200 images", image("201"));
    }

    @Test
    void a_missing_backing_file_is_told_by_the_overlay_that_names_it() throws Exception {
        qemuImg("create", "-f", "qcow2", "-u", "-b", "gone", "-F", "qcow2", "low", "1M");
        qemuImg("create", "-f", "qcow2", "-u", "-b", "low", "-F", "qcow2", "top", "1M");
        assertRefused(
                "cannot open the backing file 'gone' of %s: cannot open %s: No such file"
                        .formatted(path("low"), path("gone")),
                image("top"));
        record("top", "nul\0byte", "raw");
        assertRefused("cannot open the backing file 'nul' of", image("top"));
    }

    @Test
    void a_relative_name_in_an_image_that_is_no_file_is_refused() throws Exception {
        MemoryDevice memory = new MemoryDevice(MIB);
        new Gate(memory).write(0, ByteBuffer.wrap(head("sub/mid")), WriteFlag.NONE);
        graph.add(new Node("m", "memory", "", memory, Map.of()));
        Options tree = Options.EMPTY.with("driver", "qcow2").with("file", "m");
        assertThrows(BlockException.class, () -> open(tree), "the image is no file");
        graph.remove(graph.nodes().getFirst());
    }

    @Test
    void an_external_data_file_is_found_or_named() throws Exception {
        qemuImg("create", "-f", "qcow2", "-o", "data_file=" + path("data"), "top", "1M");
        qemuIo("write -P 6 0 1M", "top");
        try (Opened opened = open(image("top"))) {
            assertEquals(6, bytes(opened, 0).getFirst());
            assertEquals("file", child(opened.root(), "data-file").driver());
        }
        Files.move(folder.resolve("data"), folder.resolve("moved"));
        assertRefused("cannot open the data file '%s' of".formatted(path("data")), image("top"));
        Options moved = Options.EMPTY.with("driver", "file").with("filename", path("moved"));
        try (Opened opened = open(image("top").with("data-file", moved))) {
            assertEquals(6, bytes(opened, 0).getFirst());
        }
        assertRefused("leave data-file out", image("base").with("data-file", moved));
    }

    @Test
    void a_snapshot_inside_is_read_by_its_id_or_its_name() throws Exception {
        qemuImg("snapshot", "-c", "before", "base");
        qemuIo("write -P 3 0 64k", "base");
        for (String wanted : List.of("before", "1")) {
            try (Opened opened = open(image("base").with("load-snapshot", wanted))) {
                assertEquals(1, bytes(opened, 0).getFirst());
                assertTrue(opened.root().device().capabilities().readOnly());
            }
        }
        Options both = image("base").with("load-snapshot.id", "1");
        open(both.with("load-snapshot.name", "before")).close();
        assertRefused("there is no snapshot '1, x'", both.with("load-snapshot.name", "x"));
        assertRefused("there is no snapshot 'after'", image("base").with("load-snapshot", "after"));
    }

    @Test
    void a_guessed_format_is_one_whatever_the_options_besides() throws Exception {
        Options any = Options.EMPTY.with("file", file("base"));
        try (Opened opened = open(any.with("lazy-refcounts", "on").with("node-name", "n"))) {
            assertEquals("qcow2", opened.root().driver());
            assertEquals("n", opened.root().name());
        }
        assertRefused("does not know the option 'offset'", any.with("offset", "1M"));
        Files.write(folder.resolve("plain"), new byte[4096]);
        Options plain = Options.EMPTY.with("file", file("plain"));
        try (Opened opened = open(plain.with("offset", "1K"))) {
            assertEquals(3072, opened.root().device().size());
            assertEquals(List.of(path("plain")), opened.guessedRaw());
        }
        try (Opened opened = open(plain)) {
            Gate root = new Gate(opened.root().device());
            byte[] mark = {'Q', 'F', 'I', (byte) 0xfb};
            assertThrows(
                    BlockException.class,
                    () -> root.write(0, ByteBuffer.wrap(mark), WriteFlag.NONE));
            root.write(512, ByteBuffer.wrap(mark), WriteFlag.NONE);
        }
    }

    private Opened open(Options tree) throws BlockException {
        return registry.open(graph, tree, Inherited.NOTHING);
    }

    private Options image(String name) {
        return Options.EMPTY.with("driver", "qcow2").with("file", file(name));
    }

    private Options file(String name) {
        return Options.EMPTY.with("driver", "file").with("filename", path(name));
    }

    private String path(String name) {
        return folder + "/" + name;
    }

    private Node child(Node node, String role) {
        Gate gate = node.children().get(role);
        Node child = gate == null ? null : graph.target(gate);
        if (child == null) {
            throw new AssertionError("%s has no %s".formatted(node, role));
        }
        return child;
    }

    private static List<Integer> bytes(Opened opened, long... offsets) throws BlockException {
        List<Integer> found = new ArrayList<>();
        for (long offset : offsets) {
            ByteBuffer one = ByteBuffer.allocate(1);
            new Gate(opened.root().device()).read(offset, one);
            found.add((int) one.get(0));
        }
        return found;
    }

    private static void write(Opened opened, long offset) throws BlockException {
        new Gate(opened.root().device())
                .write(offset, ByteBuffer.wrap(new byte[] {7}), WriteFlag.NONE);
    }

    private byte[] head(String name) throws IOException {
        byte[] bytes = Files.readAllBytes(folder.resolve(name));
        assertArrayEquals(new byte[] {'Q', 'F', 'I'}, Arrays.copyOf(bytes, 3));
        return bytes;
    }

    /// Records a backing file that may not be there.
    private void record(String name, String backing, @Nullable String format) throws Exception {
        try (FileDevice file = FileDevice.open(FileOptions.of(folder.resolve(name)))) {
            Gate gate = new Gate(file);
            ByteBuffer head = ByteBuffer.allocate((int) Math.min(64 << 10, file.size()));
            gate.read(0, head);
            Header header = Header.parse(head.flip(), file.size(), name);
            ByteBuffer changed = ByteBuffer.allocate(4096);
            changed.put(header.withBacking(backing, format).encode()).clear();
            gate.write(0, changed, WriteFlag.NONE);
        }
    }

    private void assertRefused(String reason, Options tree) {
        List<Node> before = graph.nodes();
        BlockException refused = assertThrows(BlockException.class, () -> open(tree));
        assertTrue(refused.getMessage().contains(reason), refused.getMessage());
        assertEquals(1, refused.getMessage().lines().count(), refused.getMessage());
        assertEquals(before, graph.nodes());
    }

    private void qemuImg(String command, String... rest) throws Exception {
        Host.run(
                Stream.concat(
                                Stream.of("env", "--chdir=" + folder, "qemu-img", command),
                                Stream.of(rest))
                        .toArray(String[]::new));
    }

    private void qemuIo(String command, String name) throws Exception {
        Host.run("qemu-io", "-f", "qcow2", "-c", command, path(name));
    }
}
