package dev.lockstep.cli;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/// Tells a failure: one sentence on standard error, exit status 1.
final class Failure {
    static final int EXIT_STATUS = 1;

    private Failure() {}

    /// The command line could not be understood.
    static int ofParsing(ParameterException e, String[] arguments) {
        CommandLine command = e.getCommandLine();
        String message = firstLine(e.getMessage());
        if (e instanceof UnmatchedArgumentException unmatched) {
            message = unmatched(command, unmatched);
        } else if (e.getArgSpec() instanceof OptionSpec option && e.getValue() != null) {
            message = wrongValue(option, e.getValue(), message);
        }
        return tell(command, message + seeHelp(command));
    }

    /// A command was understood and failed.
    static int ofRunning(Exception e, CommandLine command, ParseResult parsed) {
        return of(e, command);
    }

    /// The same, whether it came to running or not.
    static int of(Exception e, CommandLine command) {
        String message = firstLine(e.getMessage());
        return switch (e) {
            case UsageError _ -> tell(command, message + seeHelp(command));
            case IOException _ -> tell(command, message);
            case InterruptedException _ -> tell(command, "interrupted");
            default -> {
                if (Log.isDebug()) {
                    Log.stackTrace(e);
                }
                yield tell(
                        command,
                        "a bug in Lockstep, please report it (LOCKSTEP_LOG=debug shows more): "
                                + e.getClass().getSimpleName()
                                + (e.getMessage() == null ? "" : ": " + message));
            }
        };
    }

    private static int tell(CommandLine command, String sentence) {
        PrintStream errors = System.err;
        errors.println(command.getCommandSpec().qualifiedName() + ": " + sentence);
        return EXIT_STATUS;
    }

    private static String seeHelp(CommandLine command) {
        return "; see %s --help".formatted(command.getCommandSpec().qualifiedName());
    }

    private static String unmatched(CommandLine command, UnmatchedArgumentException e) {
        String first = e.getUnmatched().getFirst();
        boolean option = first.startsWith("-");
        List<String> candidates = e.getSuggestions().stream().limit(1).toList();
        String hint =
                candidates.isEmpty() ? "" : ", did you mean '%s'?".formatted(candidates.getFirst());
        String what =
                option ? "option" : command.getSubcommands().isEmpty() ? "argument" : "command";
        return "unknown %s '%s'%s".formatted(what, first, hint);
    }

    /// picocli speaks of types and constants; people know numbers and words. Converters of our own
    /// have said it well.
    private static String wrongValue(OptionSpec option, String value, String otherwise) {
        Class<?> type = option.auxiliaryTypes()[0];
        if (type == int.class || type == Integer.class) {
            return "%s takes a number, not '%s'".formatted(option.longestName(), value);
        }
        if (!type.isEnum() || !otherwise.contains("expected one of")) {
            return otherwise;
        }
        String words =
                Arrays.stream(type.getEnumConstants())
                        .map(word -> word.toString().toLowerCase(Locale.ROOT))
                        .collect(Collectors.joining(", "));
        return "%s takes one of %s, not '%s'".formatted(option.longestName(), words, value);
    }

    private static String firstLine(@Nullable String message) {
        return Arrays.stream(String.valueOf(message).split("\\R"))
                .map(String::strip)
                .filter(line -> !line.isEmpty())
                .limit(1)
                .map(line -> line.replaceFirst("^Error: ", ""))
                .map(line -> line.endsWith(".") ? line.substring(0, line.length() - 1) : line)
                .collect(Collectors.joining());
    }
}
