/// `lockstep io`: a disk, read and written by hand or by a script, with qemu-io's command line,
/// commands, output and exit statuses.
///
/// [IoCommand] reads the command line and feeds lines, from `-c` or from standard input, to a
/// [Session]. A session has at most one open [Disk] and the requests that run beside it. A line is
/// a [Verb]'s name and its arguments, which [Words] takes apart as getopt does. The verbs are in
/// tables by subject: [ReadVerbs], [WriteVerbs], [SpaceVerbs], [BreakVerbs] and [SessionVerbs].
/// [Figures] has qemu-io's ways of writing sizes, rates and bytes.
///
/// Scripts compare what is printed, so every line is worded as theirs, on the same stream; times
/// and rates differ. A failed request is `read failed: Input/output error` on standard output, with
/// the whole reason in the log (`-v`). A failed command does not end a session, and makes its exit
/// status 1.
@NullMarked
package dev.lockstep.cli.io;

import org.jspecify.annotations.NullMarked;
