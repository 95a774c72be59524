package dev.lockstep.block.open;

import java.util.List;

/// A value in a tree of [Options], which is one itself. Command lines have only texts, so that a
/// reader takes `"512"` for a number and `"on"` for a truth value.
public sealed interface Option
        permits Option.Text, Option.Whole, Option.Truth, Option.Nothing, Option.Items, Options {
    /// A text.
    record Text(String value) implements Option {}

    /// A whole number.
    record Whole(long value) implements Option {}

    /// A truth value.
    record Truth(boolean value) implements Option {}

    /// Explicitly nothing, where a default would otherwise be something: `"backing": null`.
    record Nothing() implements Option {}

    /// A list.
    record Items(List<Option> values) implements Option {
        /// Keeps its own list.
        public Items {
            values = List.copyOf(values);
        }
    }
}
