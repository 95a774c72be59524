package dev.lockstep.cli.io;

import dev.lockstep.block.filter.blkdebug.Breakpoints;
import dev.lockstep.block.graph.Step;
import dev.lockstep.cli.io.Verb.Range;

import org.jspecify.annotations.Nullable;

import java.util.List;

/// What is about requests that stop at a step of a disk above the driver `blkdebug`: `break`,
/// `wait_break`, `resume` and `remove_break`.
final class BreakVerbs {
    static final List<Verb> ALL =
            List.of(
                    new Verb(
                            "break",
                            Range.exactly(2),
                            true,
                            "event tag",
                            "sets a breakpoint on event and tags the stopped request as tag",
                            "",
                            "",
                            BreakVerbs::set),
                    new Verb(
                            "wait_break",
                            Range.exactly(1),
                            true,
                            "tag",
                            "waits for the suspension of a request",
                            "",
                            "",
                            BreakVerbs::await),
                    new Verb(
                            "resume",
                            Range.exactly(1),
                            true,
                            "tag",
                            "resumes the request tagged as tag",
                            "",
                            "",
                            BreakVerbs::resume),
                    new Verb(
                            "remove_break",
                            Range.exactly(1),
                            true,
                            "tag",
                            "remove a breakpoint by tag",
                            "",
                            "",
                            BreakVerbs::remove));

    private static final String UNKNOWN = "No such file or directory";
    private static final String UNSUPPORTED = "Operation not supported";

    private BreakVerbs() {}

    private static void set(Session session, Verb verb, Words words) throws CommandFailure {
        @Nullable Breakpoints breakpoints = session.disk().breakpoints();
        @Nullable Step step = Step.of(words.arguments().getFirst());
        if (breakpoints == null || step == null) {
            throw CommandFailure.said(
                    "Could not set breakpoint: " + (step == null ? UNKNOWN : UNSUPPORTED));
        }
        breakpoints.breakAt(step, words.arguments().getLast(), text -> session.print(text + "\n"));
    }

    private static void await(Session session, Verb verb, Words words)
            throws CommandFailure, InterruptedException {
        @Nullable Breakpoints breakpoints = session.disk().breakpoints();
        if (breakpoints == null) {
            throw CommandFailure.said("Could not wait for a breakpoint: " + UNSUPPORTED);
        }
        breakpoints.await(words.arguments().getFirst());
    }

    private static void resume(Session session, Verb verb, Words words) throws CommandFailure {
        @Nullable Breakpoints breakpoints = session.disk().breakpoints();
        if (breakpoints == null || !breakpoints.resume(words.arguments().getFirst())) {
            throw CommandFailure.said(
                    "Could not resume request: " + (breakpoints == null ? UNSUPPORTED : UNKNOWN));
        }
    }

    private static void remove(Session session, Verb verb, Words words) throws CommandFailure {
        @Nullable Breakpoints breakpoints = session.disk().breakpoints();
        String tag = words.arguments().getFirst();
        if (breakpoints == null || !breakpoints.remove(tag)) {
            throw CommandFailure.said(
                    "Could not remove breakpoint %s: %s"
                            .formatted(tag, breakpoints == null ? UNSUPPORTED : UNKNOWN));
        }
    }
}
