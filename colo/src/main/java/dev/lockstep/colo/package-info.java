/// What the two sides of a replicated pair share.
///
/// A side is started from a record of options ([PrimaryOptions], [SecondaryOptions]), which is
/// valid once it exists. The running side is a [Side]: the few things that an operator can ask of
/// it. [ColoMonitor] puts them on a QMP monitor, under the names that QEMU gave them where it has
/// one and under `colo-*` otherwise, and sends the events. [Status] is the one picture of a side
/// that people, scripts and tests get to see.
///
/// The [Actor] is the part of the runtime that is the same on both sides: it takes one event at a
/// time, steps the machine, stores records in order, and hands every other action to the side's
/// [Actor.Hands].
///
/// The layers below: `machine` decides, purely; `store` remembers durably; `primary` and
/// `secondary` are the two runtimes.
@NullMarked
package dev.lockstep.colo;

import org.jspecify.annotations.NullMarked;
