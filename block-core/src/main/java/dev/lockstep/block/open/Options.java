package dev.lockstep.block.open;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/// An immutable tree of options: names, in the order in which they were given, and their values.
/// Keys are dotted where they are spoken of as a whole: `file.filename` is the key `filename` of
/// the tree that `file` maps to.
///
/// @param values by name; no name has a dot
public record Options(Map<String, Option> values) implements Option {
    /// No options.
    public static final Options EMPTY = new Options(Map.of());

    /// Far more than any graph is deep, and little enough stack.
    private static final int DEPTH_MAX = 64;

    /// Keeps its own map, in the given order.
    public Options {
        values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /// Whether there is nothing in it.
    public boolean isEmpty() {
        return values.isEmpty();
    }

    /// The value of a dotted key, or null.
    public @Nullable Option find(String key) {
        int dot = key.indexOf('.');
        Option first = values.get(dot < 0 ? key : key.substring(0, dot));
        if (dot < 0 || first == null) {
            return first;
        }
        return first instanceof Options tree ? tree.find(key.substring(dot + 1)) : null;
    }

    /// The same with a text at a dotted key, in place of what was there.
    ///
    /// @throws IllegalArgumentException if a part of the key is no name for a tree
    public Options with(String key, String text) {
        return with(key, new Text(text));
    }

    /// The same with a value at a dotted key, in place of what was there.
    ///
    /// @throws IllegalArgumentException if a part of the key is no name for a tree
    public Options with(String key, Option value) {
        return with(key, key, value, DEPTH_MAX);
    }

    /// The same without what is at a key of this tree.
    public Options without(String name) {
        Map<String, Option> fewer = new LinkedHashMap<>(values);
        fewer.remove(name);
        return new Options(fewer);
    }

    private Options with(String whole, String key, Option value, int depthLeft) {
        int dot = key.indexOf('.');
        String name = dot < 0 ? key : key.substring(0, dot);
        if (name.isEmpty() || depthLeft == 0) {
            throw new IllegalArgumentException(
                    "'%s' is no key: write names with single dots between them".formatted(whole));
        }
        Map<String, Option> more = new LinkedHashMap<>(values);
        if (dot < 0) {
            more.put(name, value);
            return new Options(more);
        }
        Option before = values.getOrDefault(name, EMPTY);
        if (!(before instanceof Options tree)) {
            throw new IllegalArgumentException(
                    "'%s' cannot have '%s', since it has a value itself"
                            .formatted(whole.substring(0, whole.indexOf(key) + dot), whole));
        }
        more.put(name, tree.with(whole, key.substring(dot + 1), value, depthLeft - 1));
        return new Options(more);
    }
}
