package dev.lockstep.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/// `lockstep img bitmap`, `amend` and `resize`, beside qemu-img on an image that was made alike.
class ImgChangeIT {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir private Path folder;

    @Test
    void bitmaps_are_edited_as_by_qemu_img_and_served_as_by_qemu_nbd() throws IOException {
        both("create -q -f qcow2 IMAGE 4M");
        qemuImg("create -q -f qcow2 other.qcow2 4M");
        qemuImg("bitmap --add -g 4k other.qcow2 x");
        write("other.qcow2", "write 3M 5k");
        both("bitmap --add -g 32k IMAGE b0");
        for (String name : List.of("ours.qcow2", "theirs.qcow2")) {
            write(name, "write 64k 1k");
        }
        both("bitmap --add --disable --merge b0 --merge b0 IMAGE copy");
        both("bitmap --merge x -b other.qcow2 -F qcow2 -f qcow2 IMAGE b0");
        both("bitmap --clear --enable --image-opts driver=qcow2,file.filename=IMAGE copy");
        for (String refused :
                List.of(
                        "bitmap IMAGE b0",
                        "bitmap --add IMAGE b0",
                        "bitmap --remove IMAGE none",
                        "bitmap --merge none IMAGE b0",
                        "bitmap --add -g 1000 IMAGE new",
                        "bitmap --add -b other.qcow2 IMAGE new",
                        "bitmap --merge x -F qcow2 IMAGE b0")) {
            bothRefuse(refused);
        }
        same();
        assertEquals(List.of("65536+32768", "3145728+32768"), served("lockstep", "ours.qcow2"));
        for (String image : List.of("ours.qcow2", "theirs.qcow2")) {
            assertEquals(List.of("65536+32768", "3145728+32768"), served("qemu-nbd", image));
        }
        both("bitmap --remove IMAGE b0");
        both("bitmap --remove IMAGE copy");
        same();
    }

    private List<String> served(String server, String image) throws IOException {
        String path = folder.resolve(image).toString();
        if (server.equals("qemu-nbd")) {
            try (ToolServer theirs =
                    ToolServer.start(
                            folder, "", "qemu-nbd", "-r", "-t", "-k", "SOCKET", "-B", "b0", path)) {
                return dirty(theirs.uri());
            }
        }
        String socket = folder.resolve("ours.sock").toString();
        try (Lockstep ours = Lockstep.start("nbd", "-r", "-t", "-k", socket, "-B", "b0", path)) {
            return dirty(ours.uri());
        }
    }

    private static List<String> dirty(String uri) {
        return Peer.run("nbdinfo", "--map=qemu:dirty-bitmap:b0", uri)
                .expectSuccess()
                .output()
                .lines()
                .map(line -> line.strip().split("\\s+"))
                .filter(words -> words[2].equals("1"))
                .map(words -> words[0] + "+" + words[1])
                .toList();
    }

    @Test
    void amend_changes_what_qemu_img_amend_changes() throws IOException {
        qemuImg("create -q -f qcow2 base.qcow2 2M");
        write("base.qcow2", "write -P 7 0 2M");
        both("create -q -f qcow2 -b base.qcow2 -F qcow2 IMAGE");
        for (String name : List.of("ours.qcow2", "theirs.qcow2")) {
            write(name, "write -P 1 100k 300k", "write -z 500k 200k", "write -z -u 1M 64k");
        }
        for (String options :
                List.of(
                        "compat=0.10",
                        "compat=v3,lazy_refcounts=on",
                        "refcount_bits=64",
                        "refcount_bits=1,lazy_refcounts=off",
                        "size=3M",
                        "refcount_bits=16,compat=v2,size=1M")) {
            both("amend -f qcow2 -o " + options + " IMAGE");
            same();
        }
        for (String refused :
                List.of(
                        "amend IMAGE",
                        "amend -o refcount_bits=8 IMAGE",
                        "amend -o lazy_refcounts=on IMAGE",
                        "amend -o cluster_size=4k IMAGE",
                        "amend -o backing_file=other IMAGE",
                        "amend -o compat=1.1,data_file=x IMAGE",
                        "amend -o compat=1.1,data_file_raw=on IMAGE",
                        "amend -o nonsense=1 IMAGE")) {
            bothRefuse(refused);
        }
    }

    @Test
    void version_2_is_reached_without_bitmaps_and_without_zero_clusters_in_snapshots()
            throws IOException {
        qemuImg("create -q -f qcow2 ours.qcow2 2M");
        write("ours.qcow2", "write -P 1 0 1M", "write -z 1M 512k");
        qemuImg("snapshot -c s ours.qcow2");
        write("ours.qcow2", "write -P 2 1M 64k", "write -z 1536k 64k");
        Files.copy(folder.resolve("ours.qcow2"), folder.resolve("theirs.qcow2"));
        Lockstep.succeed("img", "bitmap", "--add", folder + "/ours.qcow2", "b");
        both("amend -f qcow2 -o compat=0.10 IMAGE");
        same();
        both("snapshot -a s IMAGE");
        same();
    }

    @Test
    void the_space_of_a_longer_disk_is_taken_and_of_a_shorter_one_is_given_back()
            throws IOException {
        for (String mode : List.of("off", "metadata", "falloc", "full")) {
            both("create -q -f qcow2 IMAGE 1M");
            for (String name : List.of("ours.qcow2", "theirs.qcow2")) {
                write(name, "write -P 1 0 1M");
            }
            both("resize -q --preallocation=" + mode + " IMAGE 5M");
            same();
            // A table more or less, depending on where it has been put.
            assertTrue(Math.abs(kib("theirs.qcow2") - kib("ours.qcow2")) <= 128, mode);
            both("resize -q --shrink IMAGE 512k");
            same();
            assertTrue(
                    Files.size(folder.resolve("ours.qcow2"))
                            <= Files.size(folder.resolve("theirs.qcow2")),
                    mode);
        }
        bothRefuse("resize -q IMAGE 256k");
        bothRefuse("resize -q --shrink --preallocation=full IMAGE 256k");
    }

    private long kib(String name) {
        String path = folder.resolve(name).toString();
        String output = Peer.run("du", "-k", path).expectSuccess().output();
        return Long.parseLong(output.substring(0, output.indexOf('\t')));
    }

    /// Fails unless both images are sound and alike, and qemu-img says the same of them.
    private void same() throws IOException {
        qemuImg("check -q ours.qcow2");
        qemuImg("check -q theirs.qcow2");
        qemuImg("compare -q ours.qcow2 theirs.qcow2");
        assertEquals(facts("theirs.qcow2"), facts("ours.qcow2"));
    }

    private JsonNode facts(String name) throws IOException {
        Peer.Result result = qemuImg("info --output=json " + name);
        ObjectNode facts = (ObjectNode) JSON.readTree(result.output());
        facts.remove(List.of("filename", "actual-size"));
        return facts;
    }

    /// Does it with ours and with qemu-img; neither says anything.
    private void both(String arguments) {
        Peer.Result ours = img(arguments.replace("IMAGE", "ours.qcow2")).expectSuccess();
        assertEquals("", ours.output() + ours.errors());
        qemuImg(arguments.replace("IMAGE", "theirs.qcow2"));
    }

    private void bothRefuse(String arguments) throws IOException {
        Path image = folder.resolve("ours.qcow2");
        Path before = folder.resolve("before");
        Files.copy(image, before, StandardCopyOption.REPLACE_EXISTING);
        img(arguments.replace("IMAGE", "ours.qcow2")).expectOneSentence();
        Peer.Result theirs = run("qemu-img", arguments.replace("IMAGE", "theirs.qcow2"));
        assertEquals(1, theirs.exit(), arguments);
        qemuImg("check -q ours.qcow2");
        qemuImg("compare -q before ours.qcow2");
    }

    private Peer.Result img(String arguments) {
        return Lockstep.runIn(folder, ("img " + arguments).split(" +"));
    }

    private Peer.Result qemuImg(String arguments) {
        return run("qemu-img", arguments).expectSuccess();
    }

    private void write(String image, String... commands) {
        List<String> words = new ArrayList<>(List.of("qemu-io", "-f", "qcow2"));
        for (String command : commands) {
            words.addAll(List.of("-c", command));
        }
        words.add(folder.resolve(image).toString());
        Peer.run(words.toArray(String[]::new)).expectSuccess();
    }

    private Peer.Result run(String program, String arguments) {
        List<String> words = new ArrayList<>(List.of(program));
        words.addAll(List.of(arguments.split(" +")));
        return Peer.run(new ProcessBuilder(words).directory(folder.toFile()), Lockstep.RUN_LIMIT);
    }
}
