/// What a side of a replicated pair believes and decides, with no input or output of its own.
///
/// A side is a [Node]: one immutable value. [Machine#step] takes a node, something that happened
/// ([Event]) and the moment it happened, and returns the next node and what to do about it
/// ([Action]s, in order). The daemon around it only carries actions out and reports what came of
/// them; two nodes in a simulated world are stepped the same way in the tests, a hundred thousand
/// times, with every safety rule asserted after every step.
///
/// Read in this order:
///
/// - [State]: where a side can be, a sentence each, and which changes are legal;
/// - [DurableRecord] and [Standing]: what survives a restart, and nothing more;
/// - [StartDecision]: stored state and start command, to what the process does;
/// - [JoinDecision]: two stored states, to whether and how a pair goes on;
/// - [Acknowledgement]: what must have happened before a guest hears "done";
/// - [Machine], and the two halves behind it: `PrimarySide` drives, `SecondarySide` follows.
///
/// Three rules carry everything else. A record is durable before anyone acts on it. A generation is
/// drawn whenever a disk begins a history that its peer may not share. And everything a primary
/// asks carries a session or a generation, so that what arrives late is refused.
@NullMarked
package dev.lockstep.colo.machine;

import org.jspecify.annotations.NullMarked;
