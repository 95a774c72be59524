package dev.lockstep.colo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.nbd.Address;
import dev.lockstep.qmp.Caller;
import dev.lockstep.qmp.Json;
import dev.lockstep.qmp.QmpClient;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/// Every message over a real monitor, there and back.
class LinkProtocolTest {
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    private static final Nonce A = new Nonce(0x1234, -5);
    private static final Nonce B = new Nonce(Long.MIN_VALUE, 7);
    private static final Identity IDENTITY = new Identity(A, B, List.of(A, B), 42);
    private static final DurableRecord RECORD =
            new DurableRecord(Standing.FAILING_OVER, IDENTITY, true, false);

    private final QmpServer server =
            new QmpServer(new QmpServer.Version(1, 0, 0), InstantSource.system());
    private final Deque<Message.Request> asked = new ArrayDeque<>();
    private final Deque<Message.Reply> replies = new ArrayDeque<>();
    private final AtomicReference<Nonce> heard = new AtomicReference<>(A);
    private QmpClient client;

    private static final LinkProtocol.Common COMMON = new LinkProtocol.Common("vm1", 1 << 20);

    @BeforeEach
    void connect() throws Exception {
        LinkProtocol.register(
                server,
                new LinkProtocol.Secondary() {
                    @Override
                    public Message.Reply call(Message.Request request) throws IOException {
                        asked.add(request);
                        if (replies.isEmpty()) {
                            throw new IOException("not today");
                        }
                        return replies.remove();
                    }

                    @Override
                    public void heard(Nonce session, Caller caller) {
                        heard.set(session);
                    }

                    @Override
                    public LinkProtocol.Common common() {
                        return COMMON;
                    }
                });
        Address address = server.listen(Address.parse("127.0.0.1:0"));
        client = QmpClient.connect(address, PATIENCE, new QmpClient.Listener() {});
    }

    @AfterEach
    void close() throws Exception {
        client.close();
        server.close();
    }

    @Test
    void every_request_and_reply_arrives_as_it_was_sent() throws Exception {
        check(new Message.Query(), new Message.Known(Optional.of(RECORD), A, true));
        check(new Message.Query(), new Message.Known(Optional.empty(), B, false));
        for (SyncMode sync : SyncMode.values()) {
            check(
                    new Message.Join(A, B, Optional.of(RECORD), sync, true, IDENTITY),
                    new Message.Joined(A));
        }
        check(
                new Message.Join(A, B, Optional.empty(), SyncMode.FULL, false, IDENTITY),
                new Message.Joined(B));
        check(new Message.Checkpoint(A, B, 3), new Message.Checkpointed(3));
        check(new Message.PeerStale(IDENTITY), new Message.Noted());
        check(new Message.Leave(A, B, 9), new Message.Left(9));
    }

    private void check(Message.Request request, Message.Reply reply) throws Exception {
        replies.add(reply);
        LinkProtocol.Command command = LinkProtocol.encode(request);
        var value = client.execute(command.name(), command.arguments(), PATIENCE);
        assertEquals(request, asked.remove());
        assertEquals(reply, LinkProtocol.decodeReply(request, value));
        if (request instanceof Message.Query) {
            assertEquals(COMMON, LinkProtocol.common(value));
        }
    }

    @Test
    void a_refusal_arrives_with_its_reason_and_a_heartbeat_is_heard() throws Exception {
        LinkProtocol.Command command = LinkProtocol.encode(new Message.Leave(A, B, 9));
        QmpException refusal =
                assertThrows(
                        QmpException.class,
                        () -> client.execute(command.name(), command.arguments(), PATIENCE));
        assertEquals("not today", refusal.description());
        client.execute(LinkProtocol.TICK, LinkProtocol.tick(B), PATIENCE);
        assertEquals(B, heard.get());
    }

    @Test
    void nonsense_is_refused() {
        for (String arguments :
                List.of(
                        "{'identity': {}}",
                        "{'identity': {'pair': 'x', 'generation': 'y', 'ancestors': [], 'epoch': 1}}",
                        "{'identity': {'pair': 1, 'generation': 2, 'epoch': -1}}")) {
            assertThrows(
                    QmpException.class,
                    () ->
                            client.execute(
                                    "colo-peer-stale",
                                    (ObjectNode) Json.parse(arguments),
                                    PATIENCE));
        }
        assertEquals(0, asked.size());
    }
}
