package dev.lockstep.block.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
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
        Path shim =
                compile(
                        """
                        #include <errno.h>
                        int fdatasync(int fd) {
                            static int calls;
                            if (calls++ > 0) return 0;
                            errno = EIO;
                            return -1;
                        }
                        """);
        Path disk = folder.resolve("disk.raw");
        FileOpener.create(disk, MIB);
        String output = runWith(shim, FlushThrice.class, disk);
        List<String> answers = output.lines().toList();
        assertEquals(3, answers.size(), output);
        for (String answer : answers) {
            assertTrue(answer.startsWith("IO ") && answer.contains("Input/output error"), answer);
        }
    }

    @Test
    void after_a_write_that_waited_none_is_tried_on_a_thread_that_must_not() throws Exception {
        Path shim =
                compile(
                        """
                        #define _GNU_SOURCE
                        #include <unistd.h>
                        #include <sys/syscall.h>
                        long pwrite64(int fd, const void *bytes, unsigned long count, long at) {
                            usleep(200000);
                            return syscall(SYS_pwrite64, fd, bytes, count, at);
                        }
                        """);
        Path disk = folder.resolve("disk.raw");
        FileOpener.create(disk, MIB);
        List<String> answers = runWith(shim, WriteNowFiveTimes.class, disk).lines().toList();
        assertEquals(List.of("true", "false", "false", "false", "false"), answers);
    }

    private Path compile(String source) throws Exception {
        Path file = Files.writeString(folder.resolve("shim.c"), source);
        Path shim = folder.resolve("shim.so");
        Host.run("gcc", "-shared", "-fPIC", "-o", shim.toString(), file.toString());
        return shim;
    }

    private static String runWith(Path shim, Class<?> program, Path disk) throws Exception {
        return Host.run(
                "env",
                "LD_PRELOAD=" + shim,
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                program.getName(),
                disk.toString());
    }

    /// Runs in a process of its own and prints what each write answers.
    static final class WriteNowFiveTimes {
        private WriteNowFiveTimes() {}

        public static void main(String[] arguments) throws IOException {
            try (FileDevice device = FileDevice.open(FileOptions.of(Path.of(arguments[0])))) {
                for (int attempt = 0; attempt < 5; attempt++) {
                    System.out.println(device.writeNow(0, ByteBuffer.allocateDirect(4096)));
                }
            }
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
