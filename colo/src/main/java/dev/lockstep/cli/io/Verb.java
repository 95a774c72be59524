package dev.lockstep.cli.io;

import java.util.List;

/// A command of a session.
///
/// @param name its name, and after a space its short name if it has one
/// @param arguments how many words may follow its name
/// @param needsDisk whether there must be an open disk
/// @param synopsis what may follow its name, for people
/// @param summary what it does, in a few words
/// @param details more of it, or nothing
/// @param known its options' letters, for [Words#parse]
record Verb(
        String name,
        Range arguments,
        boolean needsDisk,
        String synopsis,
        String summary,
        String details,
        String known,
        Action action) {

    /// From so many to so many.
    record Range(int min, int max) {
        static Range atLeast(int min) {
            return new Range(min, Integer.MAX_VALUE);
        }

        static Range exactly(int count) {
            return new Range(count, count);
        }

        boolean contains(int count) {
            return count >= min && count <= max;
        }

        @Override
        public String toString() {
            if (max == Integer.MAX_VALUE) {
                return "at least %d arguments".formatted(min);
            }
            return min == max
                    ? "%d arguments".formatted(min)
                    : "between %d and %d arguments".formatted(min, max);
        }
    }

    /// What a verb does.
    interface Action {
        void run(Session session, Verb verb, Words words)
                throws CommandFailure, InterruptedException;
    }

    /// All names that it goes by, the full one first.
    List<String> names() {
        return List.of(name.split(" "));
    }

    String fullName() {
        return names().getFirst();
    }

    /// How it is used, in one line.
    String usage() {
        String what = synopsis.isEmpty() ? "" : synopsis + " ";
        return "%s %s-- %s".formatted(fullName(), what, summary);
    }

    /// A failure that shows how it is used.
    CommandFailure misused() {
        return CommandFailure.said(usage());
    }

    /// What getopt says, and how it is used.
    CommandFailure refuse(String reason) {
        System.err.println(fullName() + ": " + reason);
        return misused();
    }
}
