package dev.lockstep.block.filter.throttle;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.throttle.Limits.Split;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;
import dev.lockstep.block.open.OptionReader;

import org.jspecify.annotations.Nullable;

import java.util.function.Function;

/// The driver `throttle`, and the limits of the groups that it names, with QEMU's names: a limit is
/// `iops-total`, `iops-read`, `iops-write`, or the same with `bps`; `...-max` is the rate of its
/// bursts, `...-max-length` their length in seconds; `iops-size` is how many bytes count as one
/// request.
public final class ThrottleOpener implements Opener {
    private final Function<String, @Nullable ThrottleGroup> groups;

    /// @param groups finds the group of a name, or null
    public ThrottleOpener(Function<String, @Nullable ThrottleGroup> groups) {
        this.groups = groups;
    }

    @Override
    public Opening read(NodeOptions options) throws BlockException {
        Edge file = options.child("file");
        String name = options.text("throttle-group");
        ThrottleGroup group = groups.apply(name);
        if (group == null) {
            throw options.invalid(
                    ("there is no throttle group '%s': add --object"
                                    + " throttle-group,id=%s,limits.iops-total=...")
                            .formatted(name, name));
        }
        return () -> new ThrottleDevice(file.gate(), group);
    }

    /// Reads limits.
    ///
    /// @param prefix of every name: `x-` in the options of a group, nothing in its `limits`
    public static Limits limits(OptionReader options, String prefix) throws BlockException {
        try {
            return new Limits(
                    split(options, prefix + "iops-"),
                    split(options, prefix + "bps-"),
                    options.bytes(prefix + "iops-size", 0));
        } catch (IllegalArgumentException e) {
            throw options.invalid("the limits contradict each other: " + e.getMessage());
        }
    }

    private static Split split(OptionReader options, String prefix) throws BlockException {
        return new Split(
                rate(options, prefix + "total"),
                rate(options, prefix + "read"),
                rate(options, prefix + "write"));
    }

    private static Rate rate(OptionReader options, String name) throws BlockException {
        return new Rate(
                options.bytes(name, 0),
                options.bytes(name + "-max", 0),
                options.number(name + "-max-length", 1, Rate.MAX, 1));
    }
}
