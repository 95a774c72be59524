package dev.lockstep.cli.io;

import dev.lockstep.block.open.ByteCount;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/// The words of a command after its name: letters with or without a value, and arguments, in any
/// order, as getopt takes them.
///
/// @param letters the options that were given, with their values or an empty text
/// @param arguments everything else
record Words(Map<Character, String> letters, List<String> arguments) {
    /// The most that one request has: what QEMU allows, the last sector below 2 GiB.
    static final int REQUEST_BYTES_MAX = Integer.MAX_VALUE / 512 * 512;

    private static final Pattern NUMBER = Pattern.compile("[0-9]+(\\.[0-9]*)?[bkKmMgGtTpPeE]?");

    /// Takes words apart.
    ///
    /// @param known the letters of the options, each with a colon if it has a value
    static Words parse(Verb verb, List<String> words, String known) throws CommandFailure {
        Map<Character, String> letters = new HashMap<>();
        List<String> arguments = new ArrayList<>();
        for (int at = 0; at < words.size(); at++) {
            String word = words.get(at);
            if (word.equals("--")) {
                arguments.addAll(words.subList(at + 1, words.size()));
                break;
            }
            if (!word.startsWith("-") || word.length() == 1) {
                arguments.add(word);
                continue;
            }
            for (int i = 1; i < word.length(); i++) {
                char letter = word.charAt(i);
                int found = letter == ':' ? -1 : known.indexOf(letter);
                if (found < 0) {
                    throw verb.refuse("invalid option -- '%c'".formatted(letter));
                }
                if (!known.startsWith(":", found + 1)) {
                    letters.put(letter, "");
                    continue;
                }
                if (i + 1 == word.length() && ++at == words.size()) {
                    throw verb.refuse("option requires an argument -- '%c'".formatted(letter));
                }
                letters.put(letter, i + 1 < word.length() ? word.substring(i + 1) : words.get(at));
                break;
            }
        }
        return new Words(letters, arguments);
    }

    boolean has(char letter) {
        return letters.containsKey(letter);
    }

    @Nullable String value(char letter) {
        return letters.get(letter);
    }

    /// An argument that is a position or a size.
    long bytes(int index) throws CommandFailure {
        return bytes(arguments.get(index));
    }

    static long bytes(String text) throws CommandFailure {
        try {
            return ByteCount.parse(text);
        } catch (IllegalArgumentException _) {
            throw CommandFailure.said(
                    NUMBER.matcher(text).matches()
                            ? "Parsing error: argument too large -- " + text
                            : "Parsing error: non-numeric argument, or extraneous/unrecognized"
                                    + " suffix -- "
                                    + text);
        }
    }

    /// An argument that is the length of a request.
    int length(int index) throws CommandFailure {
        return length(arguments.get(index), bytes(index));
    }

    /// The sum of all arguments from an index on: the parts of one request.
    int lengths(int from) throws CommandFailure {
        long sum = 0;
        for (String text : arguments.subList(from, arguments.size())) {
            long part = bytes(text);
            if (part > REQUEST_BYTES_MAX) {
                throw CommandFailure.said(
                        "Argument '%s' exceeds maximum size %d".formatted(text, REQUEST_BYTES_MAX));
            }
            sum += part;
        }
        if (sum > REQUEST_BYTES_MAX) {
            throw CommandFailure.said(
                    "The total number of bytes exceed the maximum size %d"
                            .formatted(REQUEST_BYTES_MAX));
        }
        return (int) sum;
    }

    static int length(String text, long bytes) throws CommandFailure {
        if (bytes > REQUEST_BYTES_MAX) {
            throw CommandFailure.said(
                    "length cannot exceed %d, given %s".formatted(REQUEST_BYTES_MAX, text));
        }
        return (int) bytes;
    }

    /// The byte after a letter, in C's notations, or null if the letter was not given.
    @Nullable Integer pattern(char letter) throws CommandFailure {
        String text = value(letter);
        if (text == null) {
            return null;
        }
        try {
            int value = Integer.decode(text);
            if (value >= 0 && value <= 0xff) {
                return value;
            }
        } catch (NumberFormatException _) {
            // Told below, together with what is out of range.
        }
        throw CommandFailure.said(text + " is not a valid pattern byte");
    }
}
