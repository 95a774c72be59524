/// The QEMU Machine Protocol: the monitor that people and programs drive a running process with.
///
/// A [QmpServer] listens on sockets, greets, negotiates, and runs the commands that were registered
/// with it: a name, the [Parameter]s it takes, and a [CommandHandler]. It checks the arguments
/// before the handler sees them, so that a wrong request has no side effect. A [QmpClient] is the
/// other end: blocking calls, events, and word at once when the connection is lost.
///
/// Both ends read with a [JsonStream], which finds the messages in a stream of bytes (nothing says
/// that a message ends with a line or that a read ends with a message) and comes back to its senses
/// after garbage. Both write through an [Outbox], which bounds what is queued for a peer that does
/// not read.
///
/// **Order.** The commands of one connection run one after the other, in the order they came;
/// different connections never wait for each other. Out-of-band execution is not offered.
///
/// **Threads.** A connection has two platform threads, a reader that runs the commands and a
/// writer. They are platform threads because heartbeats travel over this protocol: an answer must
/// not queue behind a guest's requests for one of the few carriers. [QmpServer#CONNECTIONS_MAX]
/// bounds their number.
///
/// This package knows the protocol and nothing about disks or replication.
@NullMarked
package dev.lockstep.qmp;

import org.jspecify.annotations.NullMarked;
