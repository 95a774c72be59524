package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

import java.util.Locale;

/// How much is logged.
final class Log {
    private static final String LEVEL_VARIABLE = "LOCKSTEP_LOG";

    /// One more than the levels have.
    private static final int OFF = Level.ERROR.toInt() + 1;

    /// What the libraries log is about themselves.
    private static final String LIBRARY = "io.netty.";

    /// The least that is logged. A server that works is silent; one that lost its peer says so
    /// unasked.
    private static volatile int threshold = Level.WARN.toInt();

    private Log() {}

    /// Settles the level.
    ///
    /// @param verbosity how often `-v` was given; `LOCKSTEP_LOG` wins over it
    static void configure(int verbosity) {
        threshold =
                switch (verbosity) {
                    case 0 -> Level.WARN.toInt();
                    case 1 -> Level.INFO.toInt();
                    default -> Level.DEBUG.toInt();
                };
        String variable = System.getenv(LEVEL_VARIABLE);
        if (variable != null && !variable.isEmpty()) {
            threshold =
                    switch (variable.toLowerCase(Locale.ROOT)) {
                        case "off" -> OFF;
                        case "error" -> Level.ERROR.toInt();
                        case "warn" -> Level.WARN.toInt();
                        case "info" -> Level.INFO.toInt();
                        case "debug" -> Level.DEBUG.toInt();
                        case "trace" -> Level.TRACE.toInt();
                        default ->
                                throw new UsageError(
                                        "%s is one of off, error, warn, info, debug and trace, not '%s'"
                                                .formatted(LEVEL_VARIABLE, variable));
                    };
        }
    }

    static boolean isDebug() {
        return threshold <= Level.DEBUG.toInt();
    }

    /// Whether the logger of this name says something of this level.
    static boolean isEnabled(Level level, String name) {
        int least = threshold;
        if (name.startsWith(LIBRARY)) {
            boolean all = least == Level.TRACE.toInt();
            least = all ? Level.DEBUG.toInt() : Math.max(least, Level.ERROR.toInt());
        }
        return level.toInt() >= least;
    }

    static void stackTrace(@Nullable Throwable e) {
        LoggerFactory.getLogger(Main.class).error("unexpected", e);
    }
}
