/// The NBD server: exports, connections, and how a request becomes a reply.
///
/// A request's way through this package:
///
/// 1. A socket becomes readable. Its event loop reads once into a buffer that all connections of
///    the loop share ([dev.lockstep.nbd.server.LoopBuffers]), or straight into the payload that is
///    in progress.
/// 2. `TransmissionHandler` decodes every request in what was read.
/// 3. **Fast path.** Reads and writes are tried with `readNow` or `writeNow` and answered in the
///    same tick; nothing is allocated for it. A large read is answered in several chunks, where the
///    client understands that, and a large write is done in pieces as it arrives (see `InlineIo`).
/// 4. **Slow path.** Everything else becomes a `Request` on a virtual thread of its own, as
///    straight-line blocking code. Finished requests are stacked without a lock, and the loop is
///    woken once for all of them.
/// 5. `Outbox` collects the small replies of a tick in one buffer and hands that to the kernel with
///    one system call. Large replies leave from their own buffers.
///
/// **Back-pressure.** A request is held from its admission until the kernel took its reply, and
/// what is held is bounded per connection and per server, in bytes and in requests (see
/// `Allowance`). Past the bound the socket is not read. One request per connection is always
/// admitted, so nothing waits for ever.
///
/// **Threads.** Everything of a connection but the virtual threads of its requests belongs to its
/// event loop. [dev.lockstep.nbd.server.NbdServer] is for any thread.
///
/// **Ends.** DISC, the end of the stream, and a graceful close let the requests in flight finish
/// and be answered. Garbage, or a payload of more than 32 MiB, ends that one connection at once.
@NullMarked
package dev.lockstep.nbd.server;

import org.jspecify.annotations.NullMarked;
