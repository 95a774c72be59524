/// Trouble on demand.
///
/// A [dev.lockstep.block.filter.fault.FaultDevice] passes every request on, except those that one
/// of its [dev.lockstep.block.filter.fault.Fault] rules picks out by operation, range, count or
/// chance (a [dev.lockstep.block.filter.fault.Trigger]): they are delayed, held until released, or
/// failed, before or after having been carried out. Every error it makes up says `injected fault`,
/// so that nobody chases a disk that is well.
///
/// A [dev.lockstep.block.filter.fault.CrashDevice] is a disk with a volatile write cache: after its
/// [dev.lockstep.block.filter.fault.CrashDevice#crash], every sector that was written since the
/// last flush has its old value or one of those written since, each decided by a coin of its own.
@NullMarked
package dev.lockstep.block.filter.fault;

import org.jspecify.annotations.NullMarked;
