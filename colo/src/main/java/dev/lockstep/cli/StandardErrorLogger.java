package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;
import org.slf4j.Marker;
import org.slf4j.event.Level;
import org.slf4j.helpers.LegacyAbstractLogger;
import org.slf4j.helpers.MessageFormatter;

import java.time.LocalTime;
import java.time.ZoneId;

/// Writes lines such as `12:30:01.250 [nbd-loop-1-1] WARN NbdServer - the message` to standard
/// error.
final class StandardErrorLogger extends LegacyAbstractLogger {
    private static final long serialVersionUID = 1;

    private final String shortName;

    StandardErrorLogger(String name) {
        this.name = name;
        shortName = name.substring(name.lastIndexOf('.') + 1);
    }

    @Override
    public boolean isTraceEnabled() {
        return Log.isEnabled(Level.TRACE, name);
    }

    @Override
    public boolean isDebugEnabled() {
        return Log.isEnabled(Level.DEBUG, name);
    }

    @Override
    public boolean isInfoEnabled() {
        return Log.isEnabled(Level.INFO, name);
    }

    @Override
    public boolean isWarnEnabled() {
        return Log.isEnabled(Level.WARN, name);
    }

    @Override
    public boolean isErrorEnabled() {
        return Log.isEnabled(Level.ERROR, name);
    }

    @Override
    protected @Nullable String getFullyQualifiedCallerName() {
        return null;
    }

    /// The whole line is one write, so that lines of several threads are not mixed.
    @Override
    protected void handleNormalizedLoggingCall(
            Level level,
            @Nullable Marker marker,
            String message,
            Object @Nullable [] arguments,
            @Nullable Throwable thrown) {
        StringBuilder text =
                new StringBuilder(
                        "%1$tT.%1$tL [%2$s] %3$s %4$s - %5$s\n"
                                .formatted(
                                        LocalTime.now(ZoneId.systemDefault()),
                                        Thread.currentThread().getName(),
                                        level,
                                        shortName,
                                        MessageFormatter.basicArrayFormat(message, arguments)));
        String relation = "";
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            text.append(relation).append(cause).append('\n');
            for (StackTraceElement frame : cause.getStackTrace()) {
                text.append("\tat ").append(frame).append('\n');
            }
            relation = "Caused by: ";
        }
        System.err.print(text);
        System.err.flush();
    }
}
