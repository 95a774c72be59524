package dev.lockstep.block.open;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Takes values out of a tree of options. Each key that was asked for counts as understood;
/// [#finish] refuses the rest. Every error names the whole dotted key.
public class OptionReader {
    private final String subject;
    private final String prefix;
    private final Options tree;
    private final List<OptionReader> groups = new ArrayList<>();
    private final Set<String> understood = new TreeSet<>();

    /// A reader of a whole tree.
    ///
    /// @param subject whose options they are, for people: `the driver 'raw'`
    public OptionReader(String subject, Options tree) {
        this(subject, "", tree);
    }

    OptionReader(String subject, String prefix, Options tree) {
        this.subject = subject;
        this.prefix = prefix;
        this.tree = tree;
    }

    /// Whether there is a value.
    public final boolean has(String key) {
        return tree.values().containsKey(key);
    }

    /// Whether the value is a tree.
    public final boolean isGroup(String key) {
        return tree.values().get(key) instanceof Options;
    }

    /// A text that has to be there.
    public final String text(String key) throws BlockException {
        String found = textOrNull(key);
        if (found == null) {
            throw invalid("%s needs '%s'".formatted(subject, whole(key)));
        }
        return found;
    }

    /// A text, or null.
    public final @Nullable String textOrNull(String key) throws BlockException {
        return switch (take(key)) {
            case null -> null;
            case Option.Text(String value) -> value;
            case Option.Whole(long value) -> Long.toString(value);
            case Option.Truth(boolean value) -> value ? "on" : "off";
            case Option.Nothing _, Option.Items _, Options _ ->
                    throw invalid("'%s' is one value".formatted(whole(key)));
        };
    }

    /// A number of bytes, or the default.
    public final long bytes(String key, long otherwise) throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        try {
            return ByteCount.parse(text);
        } catch (IllegalArgumentException e) {
            throw invalid("'%s': %s".formatted(whole(key), e.getMessage()));
        }
    }

    /// A whole number between two others, or the default.
    public final long number(String key, long min, long max, long otherwise) throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        try {
            long value = Long.parseLong(text);
            if (value >= min && value <= max) {
                return value;
            }
        } catch (NumberFormatException _) {
            // Told below, together with what is out of range.
        }
        throw invalid(
                "'%s' is '%s': write a number from %d to %d".formatted(whole(key), text, min, max));
    }

    /// A truth value, or the default.
    public final boolean truth(String key, boolean otherwise) throws BlockException {
        String text = textOrNull(key);
        return switch (text == null ? "" : text) {
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default -> {
                if (text == null) {
                    yield otherwise;
                }
                throw invalid("'%s' is '%s': write on or off".formatted(whole(key), text));
            }
        };
    }

    /// One of the constants of an enum, written as `read-only` is for `READ_ONLY`, or the default.
    public final <E extends Enum<E>> E choice(String key, Class<E> type, E otherwise)
            throws BlockException {
        String text = textOrNull(key);
        if (text == null) {
            return otherwise;
        }
        E[] constants = type.getEnumConstants();
        for (E constant : constants) {
            if (label(constant).equals(text)) {
                return constant;
            }
        }
        throw invalid(
                "'%s' is '%s': write %s"
                        .formatted(
                                whole(key),
                                text,
                                Stream.of(constants)
                                        .map(OptionReader::label)
                                        .collect(Collectors.joining(" or "))));
    }

    /// A group of options that is no node: `server` in `server.host`. Empty if there is none.
    public final OptionReader group(String key) throws BlockException {
        Option found = take(key);
        if (found != null && !(found instanceof Options)) {
            throw invalid("'%s' is a group: write '%s.NAME'".formatted(whole(key), whole(key)));
        }
        Options inner = found instanceof Options options ? options : Options.EMPTY;
        OptionReader group = new OptionReader(subject, whole(key) + ".", inner);
        groups.add(group);
        return group;
    }

    /// A list of such groups, as `rules.0.match=...` or as a list; empty if there is none.
    public final List<OptionReader> groups(String key) throws BlockException {
        List<OptionReader> found = new ArrayList<>();
        for (Option item : items(key, "groups")) {
            String path = "%s.%d".formatted(whole(key), found.size());
            if (!(item instanceof Options inner)) {
                throw invalid("'%s' is a group: write '%s.NAME'".formatted(path, path));
            }
            found.add(new OptionReader(subject, path + ".", inner));
        }
        groups.addAll(found);
        return found;
    }

    /// A list of texts, as `names.0=...` or as a list; empty if there is none.
    public final List<String> texts(String key) throws BlockException {
        List<String> found = new ArrayList<>();
        for (Option item : items(key, "texts")) {
            if (!(item instanceof Option.Text(String text))) {
                throw invalid("'%s.%d' is one text".formatted(whole(key), found.size()));
            }
            found.add(text);
        }
        return found;
    }

    /// The values of a list, however it is written.
    ///
    /// @param what they are, for people
    final List<Option> items(String key, String what) throws BlockException {
        return switch (take(key)) {
            case null -> List.of();
            case Option.Items(var values) -> values;
            case Options(var values) -> numbered(key, new Options(values));
            default -> throw invalid("'%s' is a list of %s".formatted(whole(key), what));
        };
    }

    private List<Option> numbered(String key, Options tree) throws BlockException {
        List<Option> items = new ArrayList<>();
        for (int index = 0; index < tree.values().size(); index++) {
            Option item = tree.values().get(Integer.toString(index));
            if (item == null) {
                throw invalid("'%s.%d' is missing".formatted(whole(key), index));
            }
            items.add(item);
        }
        return items;
    }

    /// A failure that says what is wrong with these options.
    public final BlockException invalid(String sentence) {
        return new BlockException(Kind.INVALID, sentence);
    }

    /// The whole dotted name of a key.
    public final String whole(String key) {
        return prefix + key;
    }

    /// Refuses every key that nobody asked for.
    ///
    /// @throws BlockException if there is one
    public final void finish() throws BlockException {
        for (String key : tree.values().keySet()) {
            if (!understood.contains(key)) {
                throw invalid("%s does not know the option '%s'".formatted(subject, whole(key)));
            }
        }
        for (OptionReader group : groups) {
            group.finish();
        }
    }

    final @Nullable Option take(String key) {
        understood.add(key);
        return tree.values().get(key);
    }

    private static String label(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
