package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Pending;

/// A request that outlives its connection: if that is lost before the answer came, who awaits the
/// request waits for a connection and sends it again.
///
/// **What is sent again.** The server may have done a lost request in whole, in part, or not at
/// all. Nobody was told that it succeeded, and requests that overlap have no order while both are
/// in flight; so doing it once more changes nothing that anybody may rely on:
///
/// - reads, status and cache requests change nothing;
/// - writes, zeroes and discards put the same bytes to the same place, with the same FUA;
/// - a flush covers what was answered before it was first sent, and all of that had reached the
///   server.
///
/// The danger is a *late* first execution: after the repetition was answered and the same place was
/// written anew. Hence a request that changes data is sent again only if it never left, or if the
/// other side ended the connection (end of file, reset), as happens when its process ends: the
/// requests of a process do not outlive it. If it was we who gave up a server that stood still, it
/// may wake up and go on with what it has received, and the request fails.
///
/// **What this cannot promise.** A network that forgot a connection looks like a server that died.
/// And a server that comes back without what it had acknowledged but not flushed, because its host
/// lost power, will answer a later flush with success: the protocol has no name for one run of a
/// server by which a client could tell. QEMU repeats every request, after any loss, under the same
/// assumption. Whoever cannot make it leaves [Patience#reconnectDelay] at zero, as the replicated
/// pair does, and treats the loss as the failure of a disk.
final class Replay implements Pending {
    /// A request during which the connection was lost so often is more likely to be the cause.
    private static final int ATTEMPTS_MAX = 16;

    private final Connections connections;
    private final Attempt attempt;
    private Request request;

    /// Sends the request on a connection.
    interface Attempt {
        Request on(NbdConnection connection);
    }

    /// Sends it for the first time.
    Replay(Connections connections, Attempt attempt) {
        this.connections = connections;
        this.attempt = attempt;
        this.request = attempt.on(connections.pick());
    }

    /// The last attempt; once awaited, the one that succeeded.
    Request request() {
        return request;
    }

    @Override
    public void await() throws BlockException {
        for (int attempts = 1; ; attempts++) {
            try {
                request.await();
                return;
            } catch (BlockException e) {
                if (!connections.comesBack()
                        || !request.isSafeToRepeat()
                        || attempts == ATTEMPTS_MAX) {
                    throw e;
                }
                request = attempt.on(connections.await());
            }
        }
    }
}
