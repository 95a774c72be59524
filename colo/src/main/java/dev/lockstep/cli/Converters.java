package dev.lockstep.cli;

import dev.lockstep.block.open.ByteCount;
import dev.lockstep.colo.machine.FailoverTo;
import dev.lockstep.colo.machine.OnPeerLoss;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.server.ServerFault;

import picocli.CommandLine;
import picocli.CommandLine.TypeConversionException;

import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// How the texts of a command line become values.
final class Converters {
    private static final Pattern SECONDS = Pattern.compile("[0-9]{1,9}(\\.[0-9]{1,9})?");

    /// A number of bytes.
    record Bytes(long count) {}

    private Converters() {}

    static void register(CommandLine commandLine) {
        commandLine.registerConverter(Address.class, text -> refusing(text, Address::parse));
        commandLine.registerConverter(
                Degradation.class, text -> refusing(text, Degradation::parse));
        commandLine.registerConverter(
                ServerFault.class, text -> refusing(text, ServerFault::parse));
        commandLine.registerConverter(NbdUri.class, text -> refusing(text, NbdUri::parse));
        commandLine.registerConverter(
                ServerPlace.class, text -> refusing(text, ServerPlace::parse));
        commandLine.registerConverter(Path.class, text -> refusing(text, Converters::path));
        commandLine.registerConverter(Bytes.class, text -> refusing(text, Converters::bytes));
        commandLine.registerConverter(Duration.class, text -> refusing(text, Converters::seconds));
        registerChoice(commandLine, SyncMode.class, EnumSet.of(SyncMode.FULL, SyncMode.NONE));
        registerChoice(commandLine, OnPeerLoss.class, EnumSet.allOf(OnPeerLoss.class));
        registerChoice(commandLine, FailoverTo.class, EnumSet.allOf(FailoverTo.class));
    }

    /// Constants are written in lower case, as the help has them.
    private static <E extends Enum<E>> void registerChoice(
            CommandLine commandLine, Class<E> type, Set<E> choices) {
        Map<String, E> byName =
                choices.stream()
                        .collect(
                                Collectors.toMap(
                                        choice -> choice.name().toLowerCase(Locale.ROOT),
                                        choice -> choice,
                                        (first, _) -> first,
                                        LinkedHashMap::new));
        commandLine.registerConverter(
                type,
                text -> {
                    E choice = byName.get(text.toLowerCase(Locale.ROOT));
                    if (choice == null) {
                        throw new TypeConversionException(
                                "say %s, not '%s'"
                                        .formatted(String.join(" or ", byName.keySet()), text));
                    }
                    return choice;
                });
    }

    static Bytes bytes(String text) {
        return new Bytes(ByteCount.parse(text));
    }

    static Duration seconds(String text) {
        if (!SECONDS.matcher(text).matches()) {
            throw new IllegalArgumentException(
                    "'%s' is no number of seconds: write 30 or 0.5".formatted(text));
        }
        return Duration.parse("PT%sS".formatted(text));
    }

    private static Path path(String text) {
        if (text.isEmpty()) {
            throw new IllegalArgumentException("an empty path names no file");
        }
        return Path.of(text);
    }

    private static <T> T refusing(String text, CommandLine.ITypeConverter<T> parse)
            throws Exception {
        try {
            return parse.convert(text);
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(String.valueOf(e.getMessage()));
        }
    }
}
