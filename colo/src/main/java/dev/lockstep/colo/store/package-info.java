/// The state file: the [dev.lockstep.colo.machine.DurableRecord] of one side, on disk.
///
/// A state file `P` is three files side by side. `P` itself is the lock, and a note for whoever
/// opens it; `P.0` and `P.1` are two slots, written in turn. A slot is a small text with a version,
/// a number that grows with each store, and a checksum over all of it; the valid slot with the
/// higher number is the state. A slot is written to `P.tmp`, synced, renamed into place, and the
/// folder is synced, before a store returns. So a crash at any moment leaves at least the record
/// before. A damaged slot is noticed, and the other one used with the caution that [StateFile]
/// describes.
@NullMarked
package dev.lockstep.colo.store;

import org.jspecify.annotations.NullMarked;
