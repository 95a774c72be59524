/// Errors at chosen steps of the device above, with QEMU's name `blkdebug` and its options.
///
/// A [dev.lockstep.block.filter.blkdebug.BlkdebugDevice] lies between a format and its file. The
/// format tells what it is about to do, a [dev.lockstep.block.graph.Step] each: load an L2 table,
/// write a refcount block, flush. The [dev.lockstep.block.filter.blkdebug.Rules] turn that into
/// errors:
///
/// - A `set-state` rule changes a number, the state, when its step comes; it is 1 at first.
/// - An `inject-error` rule becomes *active* when its step comes while the state is the one it asks
///   for. From then on every request of its kind that touches its sector fails, until a step makes
///   other rules active, or for one request only if it says `once`.
///
/// So the nth time is told by states: the first `cluster_alloc` leads from 1 to 2, the second from
/// 2 to 3, and the error waits for 3. A request is judged by the rules that are active when it
/// comes, which with requests in parallel need not be those of its own step.
///
/// A request can also be stopped at a step ([dev.lockstep.block.filter.blkdebug.Breakpoints]).
///
/// All steps of a device go through one object with one lock, which is held for a few comparisons.
/// Where there is no such filter, telling a step is a call that does nothing.
///
/// The rules of [dev.lockstep.block.filter.fault] pick requests by what they are and by chance, and
/// are for programs; these are about why a request is made, and are for configurations that people
/// have. The two share nothing but the words of their errors, `injected fault`.
///
///     image                  the device below, mostly a file
///     config                 a file with rules, as sections [inject-error] and [set-state] with
///                            lines such as: event = "write_aio"
///     inject-error.N.event, .state, .iotype, .errno, .sector, .once, .immediately
///     set-state.N.event, .state, .new_state
///     align                  requests are multiples of it; up to 256 KiB
///     max-transfer           longer reads and writes come in pieces
///     opt-write-zero         what is no multiple is written as zeroes
///     opt-discard            what is no multiple is a request of its own
///     max-write-zero, max-discard
///                            longer ones come in pieces
///     take-child-perms, unshare-child-perms
///                            checked, and make no difference: a file's lock is what its user has
///
/// The file name `blkdebug:CONFIG:IMAGE` means the same as `config` and `image`; CONFIG may be
/// empty.
@NullMarked
package dev.lockstep.block.filter.blkdebug;

import org.jspecify.annotations.NullMarked;
