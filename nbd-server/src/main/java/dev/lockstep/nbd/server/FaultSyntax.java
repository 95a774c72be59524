package dev.lockstep.nbd.server;

import dev.lockstep.block.filter.fault.Fault.Operation;
import dev.lockstep.block.filter.fault.Trigger;
import dev.lockstep.nbd.NbdErrors;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.server.ServerFault.Effect;

import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How a [ServerFault] is written.
public final class FaultSyntax {
    /// What there is to say about it.
    public static final String HELP =
            """
            OPERATIONS[@OFFSET[+LENGTH]],SETTING,...
            OPERATIONS: any, or some of read, write, zero, trim, flush, status, joined by '/'.
            Sizes take a suffix k, M, G or T, times ns, us, ms or s.
            Which of them: nth=N only the Nth; after=N not the first N; times=N only so many;\
             p=P only with this probability, decided by seed=N.
            What happens: error=EIO (or EPERM, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP,\
             ESHUTDOWN, or a number); delay=TIME; drop hangs up; cut=N hangs up after N bytes of\
             the reply; corrupt=N inverts byte N of the reply; late carries the request out before\
             its error or drop.""";

    private static final Pattern HEAD =
            Pattern.compile("([a-z/]+)(?:@([0-9]+[kMGT]?)(?:\\+([0-9]+[kMGT]?))?)?");

    private static final Map<String, Operation> OPERATIONS =
            Map.of(
                    "read", Operation.READ,
                    "write", Operation.WRITE,
                    "zero", Operation.ZERO,
                    "trim", Operation.DISCARD,
                    "flush", Operation.FLUSH,
                    "status", Operation.EXTENTS);

    private static final List<Integer> ERRORS =
            List.of(
                    NbdProtocol.EPERM,
                    NbdProtocol.EIO,
                    NbdProtocol.ENOMEM,
                    NbdProtocol.EINVAL,
                    NbdProtocol.ENOSPC,
                    NbdProtocol.EOVERFLOW,
                    NbdProtocol.ENOTSUP,
                    NbdProtocol.ESHUTDOWN);

    private final String text;
    private Trigger when = Trigger.ALL;
    private Duration delay = Duration.ZERO;
    private Effect effect = new ServerFault.Nothing();
    private boolean late;
    private long seed;

    private FaultSyntax(String text) {
        this.text = text;
    }

    static ServerFault parse(String text) {
        return new FaultSyntax(text).fault();
    }

    private ServerFault fault() {
        String[] parts = text.split(",", -1);
        head(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            int equals = parts[i].indexOf('=');
            String key = equals < 0 ? parts[i] : parts[i].substring(0, equals);
            setting(key, equals < 0 ? "" : parts[i].substring(equals + 1));
        }
        if (effect instanceof ServerFault.Nothing && delay.isZero()) {
            throw wrong("it has no effect: say error=, delay=, drop, cut= or corrupt=");
        }
        return new ServerFault(when.sometimes(when.probability(), seed), delay, effect, late);
    }

    private void head(String head) {
        Matcher matcher = HEAD.matcher(head);
        if (!matcher.matches()) {
            throw wrong("it begins with OPERATIONS[@OFFSET[+LENGTH]], as in write@1M+64k");
        }
        when = when.on(operations(matcher.group(1)));
        String offset = matcher.group(2);
        String length = matcher.group(3);
        if (offset != null) {
            when = when.in(size(offset), length == null ? Long.MAX_VALUE : size(length));
        }
    }

    private Set<Operation> operations(String names) {
        if (names.equals("any")) {
            return EnumSet.allOf(Operation.class);
        }
        Set<Operation> found = EnumSet.noneOf(Operation.class);
        for (String name : names.split("/", -1)) {
            Operation operation = OPERATIONS.get(name);
            if (operation == null) {
                throw wrong(
                        "'%s' is none of any, read, write, zero, trim, flush, status"
                                .formatted(name));
            }
            found.add(operation);
        }
        return found;
    }

    private void setting(String key, String value) {
        switch (key) {
            case "nth" -> when = when.after(Math.max(0, number(value) - 1)).times(1);
            case "after" -> when = when.after(number(value));
            case "times" -> when = when.times(number(value));
            case "p" -> when = when.sometimes(probability(value), 0);
            case "seed" -> seed = number(value);
            case "delay" -> delay = time(value);
            case "late" -> late = true;
            case "error" -> choose(new ServerFault.Refuse(error(value)));
            case "drop" -> choose(new ServerFault.Drop());
            case "cut" -> choose(new ServerFault.Cut(Math.toIntExact(size(value))));
            case "corrupt" -> choose(new ServerFault.Corrupt(Math.toIntExact(size(value))));
            default ->
                    throw wrong(
                            ("'%s' is none of nth, after, times, p, seed, error, delay, drop, cut,"
                                            + " corrupt, late")
                                    .formatted(key));
        }
    }

    private void choose(Effect chosen) {
        if (!(effect instanceof ServerFault.Nothing)) {
            throw wrong("it has one of error=, drop, cut= and corrupt=");
        }
        effect = chosen;
    }

    private int error(String value) {
        for (int error : ERRORS) {
            if (NbdErrors.name(error).equals(value)) {
                return error;
            }
        }
        return Math.toIntExact(number(value));
    }

    private double probability(String value) {
        if (!value.matches("0|1|[01]?\\.[0-9]+") || Double.parseDouble(value) > 1) {
            throw wrong("'%s' is no probability between 0 and 1".formatted(value));
        }
        return Double.parseDouble(value);
    }

    private long number(String value) {
        if (!value.matches("[0-9]{1,18}")) {
            throw wrong("'%s' is no number".formatted(value));
        }
        return Long.parseLong(value);
    }

    private long size(String value) {
        int scale = value.isEmpty() ? -1 : "kMGT".indexOf(value.charAt(value.length() - 1)) + 1;
        long count = number(scale > 0 ? value.substring(0, value.length() - 1) : value);
        return Math.multiplyExact(count, 1L << (10 * Math.max(0, scale)));
    }

    private Duration time(String value) {
        Matcher matcher = Pattern.compile("([0-9]{1,9})(ns|us|ms|s)").matcher(value);
        if (!matcher.matches()) {
            throw wrong("'%s' is no time: write 10ms or 2s".formatted(value));
        }
        long count = Long.parseLong(matcher.group(1));
        return switch (matcher.group(2)) {
            case "ns" -> Duration.ofNanos(count);
            case "us" -> Duration.ofNanos(count * 1000);
            case "ms" -> Duration.ofMillis(count);
            default -> Duration.ofSeconds(count);
        };
    }

    private IllegalArgumentException wrong(String why) {
        return new IllegalArgumentException("the fault '%s': %s".formatted(text, why));
    }
}
