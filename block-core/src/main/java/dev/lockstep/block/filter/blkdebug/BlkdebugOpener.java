package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.file.HostError;
import dev.lockstep.block.filter.blkdebug.Rule.InjectError;
import dev.lockstep.block.filter.blkdebug.Rule.IoType;
import dev.lockstep.block.filter.blkdebug.Rule.SetState;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.open.Edge;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;
import dev.lockstep.block.open.OptionReader;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// The driver `blkdebug`. The package's description has its options.
public final class BlkdebugOpener {
    /// What a gate can read, modify and write at once.
    private static final int ALIGN_MAX = 256 << 10;

    private static final int EIO = 5;
    private static final int ERRNO_MAX = 4095;
    private static final long SECTOR_MAX = Long.MAX_VALUE >> 9;

    private static final Set<String> PERMISSIONS =
            Set.of("consistent-read", "write", "write-unchanged", "resize");

    private BlkdebugOpener() {}

    /// Reads the options.
    public static Opener.Opening read(NodeOptions options) throws BlockException {
        Edge image = options.child("image");
        String config = options.textOrNull("config");
        List<Rule> rules = new ArrayList<>();
        if (config != null && !config.isEmpty()) {
            OptionReader file = file(options, config);
            addRules(file, rules);
            file.finish();
        }
        addRules(options, rules);
        Limits limits = limits(options);
        checkPermissions(options, "take-child-perms");
        checkPermissions(options, "unshare-child-perms");
        return () -> new BlkdebugDevice(image.gate(), new Rules(rules), limits);
    }

    private static OptionReader file(NodeOptions options, String name) throws BlockException {
        try {
            return new OptionReader("the file " + name, ConfigFile.read(name));
        } catch (IllegalArgumentException e) {
            throw options.invalid(String.valueOf(e.getMessage()));
        }
    }

    private static void addRules(OptionReader options, List<Rule> rules) throws BlockException {
        for (OptionReader rule : options.groups("inject-error")) {
            rules.add(
                    new InjectError(
                            event(rule),
                            state(rule),
                            types(rule),
                            rule.number("sector", 0, SECTOR_MAX, Rule.ANY_SECTOR),
                            new HostError((int) rule.number("errno", 0, ERRNO_MAX, EIO)),
                            rule.truth("once", false)));
            // Whether other requests get their turn before it fails, which here they do anyway.
            boolean _ = rule.truth("immediately", false);
        }
        for (OptionReader rule : options.groups("set-state")) {
            String _ = rule.text("new_state");
            int newState = (int) rule.number("new_state", 0, Integer.MAX_VALUE, 0);
            rules.add(new SetState(event(rule), state(rule), newState));
        }
    }

    private static Step event(OptionReader rule) throws BlockException {
        String name = rule.text("event");
        Step step = Step.of(name);
        if (step == null) {
            throw rule.invalid(
                    "'%s': there is no event '%s'; some are l2_load, cluster_alloc and pwritev"
                            .formatted(rule.whole("event"), name));
        }
        return step;
    }

    private static int state(OptionReader rule) throws BlockException {
        return (int) rule.number("state", 0, Integer.MAX_VALUE, Rule.ANY_STATE);
    }

    private static Set<IoType> types(OptionReader rule) throws BlockException {
        return rule.has("iotype")
                ? EnumSet.of(rule.choice("iotype", IoType.class, IoType.READ))
                : EnumSet.complementOf(EnumSet.of(IoType.BLOCK_STATUS));
    }

    private static Limits limits(OptionReader options) throws BlockException {
        int align = bytes(options, "align", 1);
        if (Integer.bitCount(align) > 1 || align > ALIGN_MAX) {
            throw options.invalid(
                    "'%s' is %d: write a power of two up to %d"
                            .formatted(options.whole("align"), align, ALIGN_MAX));
        }
        int unit = Math.max(1, align);
        int zeroUnit = bytes(options, "opt-write-zero", unit);
        int discardUnit = bytes(options, "opt-discard", unit);
        return new Limits(
                align,
                bytes(options, "max-transfer", unit),
                zeroUnit,
                bytes(options, "max-write-zero", Math.max(unit, zeroUnit)),
                discardUnit,
                bytes(options, "max-discard", Math.max(unit, discardUnit)));
    }

    private static int bytes(OptionReader options, String key, int unit) throws BlockException {
        long bytes = options.bytes(key, 0);
        if (bytes < 0 || bytes > Integer.MAX_VALUE || bytes % unit != 0) {
            throw options.invalid(
                    "'%s' is %d: write a multiple of %d below 2 GiB"
                            .formatted(options.whole(key), bytes, unit));
        }
        return (int) bytes;
    }

    private static void checkPermissions(OptionReader options, String key) throws BlockException {
        for (String name : options.texts(key)) {
            if (!PERMISSIONS.contains(name)) {
                throw options.invalid(
                        "'%s' has '%s': write consistent-read, write, write-unchanged or resize"
                                .formatted(options.whole(key), name));
            }
        }
    }
}
