package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;

import java.util.Locale;
import java.util.Set;

/// How much is logged. It has to be settled before the first logger exists, so that no class that
/// has one is touched before.
final class Log {
    private static final String LEVEL_VARIABLE = "LOCKSTEP_LOG";
    private static final String PREFIX = "org.slf4j.simpleLogger.";
    private static final Set<String> LEVELS =
            Set.of("off", "error", "warn", "info", "debug", "trace");

    /// A server that works is silent; one that lost its peer says so unasked.
    private static final String LEVEL_DEFAULT = "warn";

    private Log() {}

    /// Settles the level.
    ///
    /// @param verbosity how often `-v` was given; `LOCKSTEP_LOG` wins over it
    static void configure(int verbosity) {
        String level =
                switch (verbosity) {
                    case 0 -> LEVEL_DEFAULT;
                    case 1 -> "info";
                    default -> "debug";
                };
        String variable = System.getenv(LEVEL_VARIABLE);
        if (variable != null && !variable.isEmpty()) {
            level = variable.toLowerCase(Locale.ROOT);
            if (!LEVELS.contains(level)) {
                throw new UsageError(
                        "%s is one of off, error, warn, info, debug and trace, not '%s'"
                                .formatted(LEVEL_VARIABLE, variable));
            }
        }
        setDefault("defaultLogLevel", level);
        setDefault("showDateTime", "true");
        setDefault("dateTimeFormat", "HH:mm:ss.SSS");
        setDefault("showShortLogName", "true");
        // What the libraries log at these levels is about themselves.
        setDefault("log.io.netty", level.equals("trace") ? "debug" : "error");
    }

    static boolean isDebug() {
        String level = System.getProperty(PREFIX + "defaultLogLevel", LEVEL_DEFAULT);
        return level.equals("debug") || level.equals("trace");
    }

    static void stackTrace(@Nullable Throwable e) {
        LoggerFactory.getLogger(Main.class).error("unexpected", e);
    }

    private static void setDefault(String key, String value) {
        if (System.getProperty(PREFIX + key) == null) {
            System.setProperty(PREFIX + key, value);
        }
    }
}
