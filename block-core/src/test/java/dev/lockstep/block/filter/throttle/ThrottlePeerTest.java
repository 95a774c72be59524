package dev.lockstep.block.filter.throttle;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.open.Options;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// How long a fixed amount of work takes under limits that are written as QEMU's are, here and with
/// qemu-io, and by the arithmetic: both may be slower than they are allowed to be, since the
/// machine has other things to do, but not faster.
class ThrottlePeerTest {
    /// What the clocks of both may be off by.
    private static final double TOLERANCE_SECONDS = 0.03;

    /// What a busy machine may add.
    private static final double BUSY_SECONDS = 2;

    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();

    @AfterEach
    void endThreads() {
        threads.close();
    }

    @ParameterizedTest
    @CsvSource({
        // limits; reads and writes in turn; bytes of each; seconds that they take by the arithmetic
        // of throttle.txt: what the bucket holds at once, a tenth of a second's worth or a burst,
        // then the rate; the last request does not wait for itself
        "iops-total=200, read write, 121, 512, 0.5",
        "iops-read=100, read, 61, 512, 0.5",
        "iops-write=100, read write, 122, 512, 0.5",
        "bps-total=4194304, read write, 40, 65536, 0.51",
        "bps-write=1048576, read write, 20, 65536, 0.46",
        "iops-total=100;iops-size=4096, write, 16, 16384, 0.5",
        "iops-total=100;iops-total-max=400, write, 451, 512, 0.5",
        "iops-total=50;iops-total-max=200;iops-total-max-length=2, write, 121, 512, 0.5",
        "iops-total=100;bps-total=1048576, write, 10, 65536, 0.46"
    })
    void work_takes_as_long_as_the_limits_say_and_as_it_does_with_qemu(
            String limits, String kinds, int count, int length, double expected) throws Exception {
        Script work = new Script(List.of(kinds.split(" ", -1)), count, length);
        Future<Double> peer = threads.submit(() -> work.secondsOfQemu(limits));
        double ours = work.seconds(new ThrottleDevice(new MemoryDevice(1 << 20), group(limits)));
        double theirs = peer.get();
        String told =
                "%s: %.3f s, qemu %.3f s, expected %.3f".formatted(limits, ours, theirs, expected);
        System.out.println(told);
        assertTrue(ours >= expected - TOLERANCE_SECONDS, told);
        assertTrue(ours <= expected + BUSY_SECONDS, told);
        assertTrue(theirs >= expected - TOLERANCE_SECONDS, told);
        assertTrue(theirs <= expected + BUSY_SECONDS, told);
    }

    private static ThrottleGroup group(String limits) throws BlockException {
        Options tree = Options.EMPTY;
        for (String limit : limits.split(";", -1)) {
            String[] pair = limit.split("=", -1);
            tree = tree.with(pair[0], pair[1]);
        }
        OptionReader options = new OptionReader("limits", tree);
        ThrottleGroup group = new ThrottleGroup(ThrottleOpener.limits(options, ""));
        options.finish();
        return group;
    }

    /// Requests one after the other, their kinds in turn.
    private record Script(List<String> kinds, int count, int length) {
        double seconds(BlockDevice device) throws BlockException {
            Gate gate = new Gate(device);
            ByteBuffer buffer = ByteBuffer.allocate(length);
            long before = System.nanoTime();
            for (int number = 0; number < count; number++) {
                if (kinds.get(number % kinds.size()).equals("read")) {
                    gate.read(0, buffer.clear());
                } else {
                    gate.write(0, buffer.clear(), WriteFlag.NONE);
                }
            }
            return (System.nanoTime() - before) / 1e9;
        }

        double secondsOfQemu(String limits) throws Exception {
            List<String> command = new ArrayList<>(List.of("qemu-io", "-t", "writeback"));
            command.add("--object");
            command.add("throttle-group,id=g,x-" + limits.replace(";", ",x-"));
            for (int number = 0; number < count; number++) {
                String kind = kinds.get(number % kinds.size());
                command.addAll(List.of("-c", "%s -q 0 %d".formatted(kind, length)));
            }
            command.add("--image-opts");
            command.add("driver=throttle,throttle-group=g,file.driver=null-co,file.size=1M");
            long before = System.nanoTime();
            Host.run(command.toArray(String[]::new));
            return (System.nanoTime() - before) / 1e9;
        }
    }
}
