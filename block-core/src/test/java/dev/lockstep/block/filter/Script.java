package dev.lockstep.block.filter;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.DiskModel;
import dev.lockstep.block.Host;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.graph.Gate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// Operations that are done here and with qemu-io, and how each ended.
///
/// @param operations in their order
public record Script(List<Operation> operations) {
    private static final Pattern DUMP = Pattern.compile("[0-9a-f]{8}:  ((?:[0-9a-f]{2} )+)");

    /// How a flush ends: qemu-io does not say.
    private static final String SILENT = "";

    /// What is done.
    public enum Kind {
        /// Reading, which ends with what was read.
        READ,
        /// Writing one value throughout.
        WRITE,
        /// The same, durably.
        WRITE_FUA,
        /// Zeroing.
        ZERO,
        /// Zeroing that may give up space.
        ZERO_UNMAP,
        /// Giving up space.
        DISCARD,
        /// Making all durable.
        FLUSH
    }

    /// One operation.
    ///
    /// @param value what is written
    public record Operation(Kind kind, int offset, int length, int value) {
        /// The words of qemu-io.
        String command() {
            return switch (kind) {
                case READ -> "read -v %d %d".formatted(offset, length);
                case WRITE -> "write -P %d %d %d".formatted(value, offset, length);
                case WRITE_FUA -> "write -f -P %d %d %d".formatted(value, offset, length);
                case ZERO -> "write -z %d %d".formatted(offset, length);
                case ZERO_UNMAP -> "write -z -u %d %d".formatted(offset, length);
                case DISCARD -> "discard %d %d".formatted(offset, length);
                case FLUSH -> "flush";
            };
        }

        private String run(Gate gate) {
            try {
                return doneBy(gate);
            } catch (BlockException e) {
                return kind == Kind.FLUSH
                        ? SILENT
                        : "failed: " + e.getMessage().replaceFirst(".*: ", "");
            }
        }

        private String doneBy(Gate gate) throws BlockException {
            switch (kind) {
                case READ -> {
                    return hex(DiskModel.read(gate, offset, length));
                }
                case WRITE -> gate.write(offset, bytes(), WriteFlag.NONE);
                case WRITE_FUA -> gate.write(offset, bytes(), WriteFlag.DURABLE);
                case ZERO -> gate.zero(offset, length, WriteFlag.NONE);
                case ZERO_UNMAP -> gate.zero(offset, length, WriteFlag.UNMAP);
                case DISCARD -> gate.discard(offset, length);
                case FLUSH -> gate.flush();
            }
            return kind == Kind.FLUSH ? SILENT : "done";
        }

        private ByteBuffer bytes() {
            byte[] bytes = new byte[length];
            Arrays.fill(bytes, (byte) value);
            return ByteBuffer.wrap(bytes);
        }
    }

    /// Random operations in units of `unit` bytes on a disk, none longer than eight of them.
    public static Script random(Random random, List<Kind> kinds, int count, int bytes, int unit) {
        List<Operation> made = new ArrayList<>();
        while (made.size() < count) {
            Kind kind = kinds.get(random.nextInt(kinds.size()));
            int units = 1 + random.nextInt(8);
            int offset = random.nextInt(bytes / unit - units + 1) * unit;
            made.add(new Operation(kind, offset, units * unit, 1 + random.nextInt(255)));
        }
        return new Script(made);
    }

    /// Does them through a gate.
    ///
    /// @return how each ended: what was read, `done`, or `failed: ` and why; nothing of a flush
    public List<String> run(Gate gate) {
        return operations.stream().map(operation -> operation.run(gate)).toList();
    }

    /// Does them in one process of qemu-io.
    ///
    /// @param image what it opens: options as after `--image-opts`
    /// @return how each ended, in the same words
    public List<String> runByQemu(String image) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of("qemu-io", "-t", "writeback", "--image-opts"));
        for (Operation operation : operations) {
            command.addAll(List.of("-c", operation.command()));
        }
        command.add(image);
        return outcomes(Host.outcome(command.toArray(String[]::new)).output());
    }

    private List<String> outcomes(String output) {
        List<String> lines = new ArrayList<>(output.lines().toList());
        List<String> found = new ArrayList<>();
        for (Operation operation : operations) {
            found.add(outcome(operation, lines));
        }
        if (!lines.isEmpty()) {
            throw new AssertionError("qemu-io also said: " + lines);
        }
        return found;
    }

    private static String outcome(Operation operation, List<String> lines) {
        if (operation.kind() == Kind.FLUSH) {
            return SILENT;
        }
        if (!lines.isEmpty() && lines.getFirst().matches("(read|write|discard) failed: .*")) {
            return "failed: " + lines.removeFirst().replaceFirst(".*: ", "");
        }
        StringBuilder read = new StringBuilder();
        while (!lines.isEmpty()) {
            Matcher dump = DUMP.matcher(lines.getFirst());
            if (!dump.lookingAt()) {
                break;
            }
            read.append(dump.group(1));
            lines.removeFirst();
        }
        if (lines.size() < 2 || !lines.get(1).contains(" ops; ")) {
            throw new AssertionError("qemu-io said: " + lines);
        }
        lines.removeFirst();
        lines.removeFirst();
        return read.isEmpty() ? "done" : read.toString().replace(" ", "");
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    /// The words of qemu-io for all of it, to be tried by hand.
    @Override
    public String toString() {
        return operations.stream()
                .map(operation -> "-c '%s'".formatted(operation.command()))
                .collect(Collectors.joining(" "));
    }
}
