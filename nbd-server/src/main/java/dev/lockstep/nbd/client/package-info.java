/// A block device whose bytes are remote, reached over NBD.
///
/// [dev.lockstep.nbd.client.RemoteDevice] is what the block graph sees. Below it, one
/// [dev.lockstep.nbd.client.NbdConnection] is one socket after its handshake, and can be used by
/// itself, with validation switched off, to send a server what a well-behaved client never would.
///
/// **The life of a request.** The caller's thread takes a slot (its number is part of the cookie),
/// appends the request to the connection's queue, and parks. Whoever finds nobody writing writes:
/// one system call carries everything that was queued meanwhile. One platform thread per connection
/// reads; it handles every reply of a socket read in one pass and wakes the callers. No event loop,
/// no callback, no lock on the way of a request.
///
/// **Who reads.** Waking a caller for each reply costs two switches of threads. Where the owner
/// says that nobody interrupts its platform threads, one of those that await a reply reads instead,
/// for itself and for the others, and the reader steps aside (`Replies`). A copy does so: each of
/// its workers has a connection, reads ahead and writes behind.
///
/// **Whose buffer is it.** A payload belongs to the request until it has settled *and* neither the
/// writer nor the reader is at work on its bytes. So a request that was given up (a deadline, an
/// abort) returns only once nothing can touch its buffer any more; closing the socket first is what
/// keeps that prompt.
///
/// **Time.** Deadlines are counted in ticks of the device's own watchdog rather than read off a
/// clock: a pause of this process is not held against the server.
///
/// **Losing the server.** `Connections` is the one place that hears of a lost connection. Unless
/// the device is to come back, the first loss fails it for good: everything in flight and
/// everything after it, at once, with the cause; the owner is told. If it is to come back, each
/// connection has a keeper that replaces it, and whoever awaits a request that was lost sends it
/// again where that is safe (`Replay`).
///
/// **Other uses.** [dev.lockstep.nbd.client.RemoteServer] asks a server what it has, without using
/// any of it. A `Link` is the socket, or TLS around it.
///
/// **A hostile server** is cut off at its first breach with a sentence that names it, and cannot
/// make the client hold more than the callers' own buffers and a few hundred kilobytes.
@NullMarked
package dev.lockstep.nbd.client;

import org.jspecify.annotations.NullMarked;
