package dev.lockstep.block.filter.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockDeviceContract;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.Qcow2Options;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;

class CompressDeviceTest extends BlockDeviceContract {
    @TempDir private Path folder;
    private @Nullable FileDevice file;
    private @Nullable Qcow2Device image;

    @Override
    protected BlockDevice create(byte[] contents) throws Exception {
        CompressDevice device = create(contents.length);
        device.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
        return device;
    }

    @Override
    protected void checkHealth(BlockDevice device) throws Exception {
        Objects.requireNonNull(image).close();
        Objects.requireNonNull(file).close();
        Host.run("qemu-img", "check", "-q", path());
    }

    @Test
    void whole_units_are_compressed_and_the_rest_is_not() throws Exception {
        CompressDevice device = create(16 * 4096);
        byte[] bytes = new byte[8 * 4096];
        Arrays.fill(bytes, (byte) 5);
        device.write(4096 - 512, ByteBuffer.wrap(bytes), WriteFlag.NONE);
        checkHealth(device);
        String found = Host.run("qemu-img", "check", path());
        // Eight whole units lie in it but for a part of the first, which is the end of unit 0.
        assertTrue(found.contains("9/16 = 56.25% allocated"), found);
        assertTrue(found.contains("77.78% compressed"), found);
    }

    @Test
    void a_device_that_does_not_compress_is_refused() {
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () -> new CompressDevice(new Gate(new MemoryDevice(4096))));
        assertEquals(Kind.INVALID, e.kind());
    }

    private CompressDevice create(int bytes) throws Exception {
        Host.run(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-o",
                "cluster_size=4096",
                path(),
                Integer.toString(bytes));
        file = FileDevice.open(FileOptions.of(Path.of(path())));
        image = Qcow2Device.open(new Gate(file), null, null, Qcow2Options.DEFAULTS, false);
        return new CompressDevice(new Gate(image));
    }

    private String path() {
        return folder.resolve("disk.qcow2").toString();
    }
}
