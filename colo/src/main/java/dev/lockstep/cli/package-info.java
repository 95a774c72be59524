/// The command line: `lockstep nbd`, `lockstep colo ...`, `lockstep demo`.
///
/// [Main] builds the picocli tree and owns everything that all commands share: how a failure is
/// told (one sentence on standard error, exit status 1), how much is logged, what `--version` says.
/// A command is a small class: its options, with help that states defaults and promises, and a
/// `call` that turns them into an options record and starts something or asks a monitor.
///
/// Failures come in two kinds. A [UsageError] is the caller's: it names the option and points at
/// the help. Every other [java.io.IOException] is the world's: its message is the sentence. What is
/// neither is a bug, and is told as one.
///
/// A server prints one line on standard output, `ready: URI`, and then lives until it is asked to
/// end: [ServerProcess] makes SIGTERM, SIGINT and the monitor's `quit` one and the same path.
@NullMarked
package dev.lockstep.cli;

import org.jspecify.annotations.NullMarked;
