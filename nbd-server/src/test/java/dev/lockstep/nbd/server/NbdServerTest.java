package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;

import io.netty.channel.ChannelOption;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/// Starting, listening, fencing and closing.
class NbdServerTest {
    private static final Address LOOPBACK = new Address.Tcp("127.0.0.1", 0);

    private final HeldDevice device = new HeldDevice(4 << 20);
    private final Export disk = new Export("disk", new Gate(device));

    @TempDir private Path folder;

    @Test
    void one_server_listens_on_every_kind_of_address() throws IOException {
        try (NbdServer server = NbdServer.start(Exports.of(disk))) {
            for (Address address :
                    List.of(
                            LOOPBACK,
                            new Address.Tcp("::1", 0),
                            new Address.Unix(folder.resolve("nbd.sock")))) {
                Address bound = server.listen(address);
                try (RawClient client = RawClient.simple(bound, "disk")) {
                    client.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
                    assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
                    assertEquals("disk", server.connections().getFirst().export());
                }
                await().until(() -> server.connections().isEmpty());
            }
            assertEquals(3, server.addresses().size());
        }
        assertFalse(Files.exists(folder.resolve("nbd.sock")));
    }

    @Test
    void an_address_in_use_is_refused_in_one_sentence() throws IOException {
        try (NbdServer server = NbdServer.start(Exports.of(disk))) {
            Address bound = server.listen(LOOPBACK);
            IOException e = assertThrows(IOException.class, () -> server.listen(bound));
            assertTrue(String.valueOf(e.getMessage()).startsWith("cannot listen on " + bound));
            Address socket = server.listen(new Address.Unix(folder.resolve("nbd.sock")));
            assertThrows(IOException.class, () -> server.listen(socket));
            Path file = Files.writeString(folder.resolve("precious"), "data");
            assertThrows(IOException.class, () -> server.listen(new Address.Unix(file)));
            assertEquals("data", Files.readString(file));
        }
    }

    @Test
    void a_socket_file_left_by_a_dead_server_is_replaced() throws IOException {
        Path path = folder.resolve("nbd.sock");
        Address address = new Address.Unix(path);
        address.openServerSocket().bind(address.socketAddress()).close();
        assertTrue(Files.exists(path));
        try (NbdServer server = NbdServer.start(Exports.of(disk))) {
            server.listen(address);
            RawClient.simple(address, "disk").close();
        }
    }

    @Test
    @Shows("shutdown.in-flight")
    void closing_answers_what_is_in_flight_first() throws Exception {
        NbdServer server = NbdServer.start(Exports.of(disk));
        try (RawClient client = RawClient.simple(server.listen(LOOPBACK), "disk")) {
            client.write(1, HeldDevice.HELD_FROM, new byte[512]);
            await().until(() -> device.held.get() == 1);
            Thread closing = Thread.ofVirtual().start(server::close);
            device.letGo.countDown();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
            assertTrue(client.isHungUp());
            closing.join();
        }
    }

    @Test
    @Shows("shutdown.refused")
    void requests_that_come_while_the_server_closes_are_refused_as_such() throws Exception {
        NbdServer server = NbdServer.start(Exports.of(disk));
        try (RawClient client = RawClient.simple(server.listen(LOOPBACK), "disk")) {
            client.write(1, HeldDevice.HELD_FROM, new byte[512]);
            await().until(() -> device.held.get() == 1);
            Thread closing = Thread.ofVirtual().start(server::close);
            RawClient.Simple reply;
            do {
                reply = client.write(2, 0, new byte[512]).simpleReply();
            } while (reply.error() == 0);
            assertEquals(new RawClient.Simple(NbdProtocol.ESHUTDOWN, 2), reply);
            device.letGo.countDown();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
            assertTrue(client.isHungUp());
            closing.join();
        }
    }

    @Test
    @Shows("shutdown.options")
    void options_that_come_while_the_server_closes_are_refused_as_such() throws Exception {
        NbdServer server = NbdServer.start(Exports.of(disk));
        try (RawClient client = RawClient.connect(server.listen(LOOPBACK)).flags(3)) {
            client.ask(new Option.ListExports());
            Thread closing = Thread.ofVirtual().start(server::close);
            OptionReply reply;
            do {
                reply = client.ask(new Option.ListExports()).getLast();
            } while (reply instanceof OptionReply.Ack);
            assertEquals(
                    NbdProtocol.REP_ERR_SHUTDOWN,
                    assertInstanceOf(OptionReply.Refusal.class, reply).type());
            assertEquals(List.of(new OptionReply.Ack()), client.ask(new Option.Abort()));
            assertTrue(client.isHungUp());
            closing.join();
        }
    }

    @Test
    void fencing_an_export_waits_for_its_requests_and_leaves_the_others_alone() throws Exception {
        Export other = new Export("other", new Gate(new HeldDevice(1 << 20)));
        try (NbdServer server = NbdServer.start(Exports.of(disk, other))) {
            Address address = server.listen(LOOPBACK);
            AtomicBoolean fenced = new AtomicBoolean();
            try (RawClient client = RawClient.simple(address, "disk");
                    RawClient bystander = RawClient.simple(address, "other")) {
                client.write(1, HeldDevice.HELD_FROM, new byte[512]);
                await().until(() -> device.held.get() == 1);
                Thread fencing =
                        Thread.ofVirtual()
                                .start(
                                        () -> {
                                            closeConnections(server, disk);
                                            fenced.set(true);
                                        });
                assertTrue(client.isHungUp());
                assertFalse(fenced.get(), "a request is still in flight");
                device.letGo.countDown();
                fencing.join();
                assertTrue(fenced.get());
                bystander.request(NbdProtocol.CMD_READ, 2, 0, 512);
                assertEquals(new RawClient.Simple(0, 2), bystander.simpleReply());
            }
        }
    }

    @Test
    void clients_beyond_the_limit_wait_until_one_leaves() throws Exception {
        try (NbdServer server =
                NbdServer.start(Exports.of(disk), ServerOptions.DEFAULT.withMaxConnections(1))) {
            Address address = server.listen(LOOPBACK);
            RawClient first = RawClient.simple(address, "disk");
            AtomicBoolean served = new AtomicBoolean();
            Thread second =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try (RawClient client = RawClient.simple(address, "disk")) {
                                            client.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
                                            client.simpleReply();
                                            served.set(true);
                                        } catch (IOException e) {
                                            throw new AssertionError(e);
                                        }
                                    });
            first.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
            first.simpleReply();
            assertFalse(served.get());
            assertEquals(1, server.connections().size());
            first.close();
            second.join();
            assertTrue(served.get());
        }
    }

    @Test
    void the_last_client_can_be_waited_for() throws Exception {
        try (NbdServer server = NbdServer.start(Exports.of(disk))) {
            Address address = server.listen(LOOPBACK);
            Thread waiting =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            server.awaitLastClient();
                                        } catch (InterruptedException e) {
                                            throw new AssertionError(e);
                                        }
                                    });
            RawClient.connect(address).close();
            try (RawClient client = RawClient.simple(address, "disk")) {
                client.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
                client.simpleReply();
                assertTrue(waiting.isAlive());
            }
            waiting.join();
        }
    }

    private static void closeConnections(NbdServer server, Export export) {
        try {
            server.closeConnections(export);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    @Shows("nodelay")
    void what_is_accepted_over_tcp_holds_small_messages_not_back() {
        Transport transport = new Transport(ServerOptions.DEFAULT);
        try {
            assertEquals(
                    true,
                    transport
                            .bootstrap(new Address.Tcp("127.0.0.1", 0))
                            .config()
                            .childOptions()
                            .get(ChannelOption.TCP_NODELAY));
        } finally {
            transport.loops().shutdownGracefully();
        }
    }
}
