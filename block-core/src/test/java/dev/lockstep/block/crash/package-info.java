/// Proving that a format survives a power cut, by looking at every disk that one could leave
/// behind.
///
/// A [dev.lockstep.block.crash.RecordingDevice] lies below the format and remembers each change and
/// each sync. [dev.lockstep.block.crash.CrashStates] makes of that recording the disks that a crash
/// may leave: between two syncs any subset of the sectors that were written, in any order. Several
/// devices may share a clock and lose power together; a sync of one says nothing about another. A
/// [dev.lockstep.block.crash.GuestHistory] knows for each of these moments what the guest may find.
@NullMarked
package dev.lockstep.block.crash;

import org.jspecify.annotations.NullMarked;
