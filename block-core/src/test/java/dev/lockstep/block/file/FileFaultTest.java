package dev.lockstep.block.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.WriteFlag;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Full and failing disks.
class FileFaultTest {
    private static final int MIB = 1 << 20;

    @TempDir Path folder;

    @Test
    void a_full_disk_is_no_space_and_works_again_when_there_is_some() throws Exception {
        Host.run("mount", "-t", "tmpfs", "-o", "size=1m", "lockstep-test", folder.toString());
        try {
            Path filler = Files.write(folder.resolve("filler"), new byte[MIB / 2]);
            FileOptions options = FileOptions.of(folder.resolve("disk.raw"));
            try (FileDevice device = FileDevice.create(options, 4 * MIB)) {
                BlockException thrown =
                        assertThrows(
                                BlockException.class,
                                () -> device.write(0, ByteBuffer.allocate(MIB), WriteFlag.NONE));
                assertEquals(Kind.NO_SPACE, thrown.kind());
                Files.delete(filler);
                device.zero(0, MIB, WriteFlag.UNMAP);
                device.write(0, ByteBuffer.allocate(MIB / 2), WriteFlag.NONE);
                device.flush();
            }
        } finally {
            Host.run("umount", folder.toString());
        }
    }

    /// The library stands in for libc's `fdatasync`, fails once and then claims success, as the
    /// kernel does after a failed write-back.
    @Test
    void after_a_failed_sync_no_flush_succeeds_even_if_the_kernel_says_so() throws Exception {
        Path source = folder.resolve("shim.c");
        Files.writeString(
                source,
                """
                #include <errno.h>
                int fdatasync(int fd) {
                    static int calls;
                    if (calls++ > 0) return 0;
                    errno = EIO;
                    return -1;
                }
                """);
        Path shim = folder.resolve("shim.so");
        Host.run("gcc", "-shared", "-fPIC", "-o", shim.toString(), source.toString());
        Path disk = folder.resolve("disk.raw");
        FileOpener.create(disk, MIB);
        String output =
                Host.run(
                        "env",
                        "LD_PRELOAD=" + shim,
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        FlushThrice.class.getName(),
                        disk.toString());
        List<String> answers = output.lines().toList();
        assertEquals(3, answers.size(), output);
        for (String answer : answers) {
            assertTrue(answer.startsWith("IO ") && answer.contains("Input/output error"), answer);
        }
    }

    /// Runs in a process of its own and prints what each of three flushes answers.
    static final class FlushThrice {
        private FlushThrice() {}

        public static void main(String[] arguments) throws IOException {
            try (FileDevice device = FileDevice.open(FileOptions.of(Path.of(arguments[0])))) {
                device.write(0, ByteBuffer.allocate(512), WriteFlag.NONE);
                for (int attempt = 0; attempt < 3; attempt++) {
                    try {
                        device.flush();
                        System.out.println("done");
                    } catch (BlockException e) {
                        System.out.println(e.kind() + " " + e.getMessage());
                    }
                }
            }
        }
    }
}
