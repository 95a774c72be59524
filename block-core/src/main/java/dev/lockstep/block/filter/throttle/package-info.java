/// Limits on requests and bytes a second, for one device or for several together, with QEMU's name
/// `throttle`. (throttle.txt)
///
/// Each limit is a leaky bucket ([dev.lockstep.block.filter.throttle.Bucket]): requests fill it, it
/// leaks at the rate that is allowed on average, and who finds it full waits. A limit with a burst
/// has a larger bucket, and if it may last for more than a second also a second one, which keeps it
/// to its own rate.
///
/// A [dev.lockstep.block.filter.throttle.ThrottleGroup] has the buckets; each
/// [dev.lockstep.block.filter.throttle.ThrottleDevice] is a member of one. Of the requests that
/// wait, each member's go in their order, and the members take turns, whatever each has in flight.
/// Reads never wait for what only limits writes.
@NullMarked
package dev.lockstep.block.filter.throttle;

import org.jspecify.annotations.NullMarked;
