/// A disk that takes longer: the driver `delay`. QEMU has none of this name; the idea and the rule
/// that zeroes and discards take what writes take are those of nbdkit's filter.
///
/// Each request waits before it is passed on, all at once and none for another. It is a
/// [dev.lockstep.block.filter.fault.FaultDevice] that only ever delays.
///
///     file                                the disk
///     read-latency, write-latency         how long a request waits, in milliseconds; 0
///     zero-latency, discard-latency       as write-latency, unless they are told
///     flush-latency, extents-latency      0
@NullMarked
package dev.lockstep.block.filter.delay;

import org.jspecify.annotations.NullMarked;
