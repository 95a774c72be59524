package dev.lockstep.nbd.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/// What a server does wrong when it is told to.
class ServerFaultTest {
    private static final long SIZE = 1 << 20;

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE);
    private NbdServer server = serving();
    private Address address = new Address.Tcp("127.0.0.1", 0);

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(address);
    }

    @AfterEach
    void close() {
        server.close();
        assertEquals(0, server.heldBytes().get(), "every byte that was held is released");
    }

    @Test
    void the_third_write_that_touches_a_range_fails_and_the_device_does_not_see_it()
            throws IOException {
        InjectedFault fault = inject("write@4k+4k,nth=3,error=ENOSPC");
        try (RawClient client = RawClient.simple(address, "disk")) {
            for (int cookie = 1; cookie <= 4; cookie++) {
                client.write(10, 8192, new byte[512]);
                assertEquals(new RawClient.Simple(0, 10), client.simpleReply());
                client.write(cookie, 8191, new byte[] {(byte) cookie});
                int error = cookie == 3 ? NbdProtocol.ENOSPC : 0;
                assertEquals(new RawClient.Simple(error, cookie), client.simpleReply());
                assertEquals(cookie == 3 ? 2 : cookie, memoryByte(8191));
            }
        }
        assertEquals(1, fault.hits());
    }

    @Test
    void an_error_can_come_after_the_deed_as_when_an_answer_is_lost() throws IOException {
        inject("write,error=EIO,late");
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.write(1, 0, new byte[] {7});
            assertEquals(new RawClient.Simple(NbdProtocol.EIO, 1), client.simpleReply());
            assertEquals(7, memoryByte(0));
        }
    }

    @Test
    void an_error_says_in_words_that_it_was_made_up() throws IOException {
        inject("any,error=ESHUTDOWN");
        try (RawClient client = RawClient.structured(address, "disk")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_READ,
                            NbdProtocol.CMD_FLUSH,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_BLOCK_STATUS)) {
                client.request(type, type, 0, 512);
                RawClient.Chunk chunk = client.chunk();
                assertEquals(NbdProtocol.REPLY_TYPE_ERROR, chunk.type());
                assertEquals(NbdProtocol.ESHUTDOWN, chunk.payload().getInt());
                assertEquals("injected fault".length(), chunk.payload().getShort());
            }
        }
    }

    @Test
    void a_drop_hangs_up_instead_of_answering_and_the_next_connection_is_well() throws IOException {
        inject("read,times=1,drop");
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.request(NbdProtocol.CMD_READ, 1, 0, 512);
            assertTrue(client.isHungUp());
        }
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertReads(client);
        }
    }

    @Test
    void a_reply_that_is_cut_arrives_in_part() throws IOException {
        for (int length : List.of(512, 100_000)) {
            inject("read,times=1,cut=20");
            try (RawClient client = RawClient.simple(address, "disk")) {
                client.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
                client.request(NbdProtocol.CMD_READ, 2, 0, length);
                assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
                assertEquals(new RawClient.Simple(0, 2), client.simpleReply());
                client.receive(4);
                assertTrue(client.isHungUp());
            }
        }
    }

    @Test
    void one_byte_of_a_reply_is_corrupted_and_the_next_reply_is_well() throws IOException {
        for (int length : List.of(512, 100_000)) {
            inject("read,times=1,corrupt=16");
            inject("flush,times=1,corrupt=15");
            try (RawClient client = RawClient.simple(address, "disk")) {
                client.request(NbdProtocol.CMD_READ, 1, 0, length);
                assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
                byte[] spoilt = new byte[length];
                spoilt[0] = -1;
                assertArrayEquals(spoilt, client.receive(length).array());
                client.request(NbdProtocol.CMD_FLUSH, 1, 0, 0);
                assertEquals(new RawClient.Simple(0, 1 ^ 0xff), client.simpleReply());
                assertReads(client);
            }
        }
    }

    @Test
    void a_delayed_request_lets_others_pass_and_goes_on_when_the_fault_is_removed()
            throws IOException {
        InjectedFault fault = inject("write,delay=10000s");
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.write(1, 0, new byte[] {1});
            await().until(() -> fault.hits() == 1);
            assertReads(client);
            assertEquals(0, memoryByte(0));
            fault.remove();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
            assertEquals(1, memoryByte(0));
        }
    }

    @Test
    void closing_the_server_does_not_wait_for_a_delay() throws IOException {
        InjectedFault fault = inject("write,delay=10000s");
        try (RawClient client = RawClient.simple(address, "disk")) {
            client.write(1, 0, new byte[] {1});
            await().until(() -> fault.hits() == 1);
            server.close();
            assertEquals(new RawClient.Simple(0, 1), client.simpleReply());
        }
    }

    @Test
    void chance_picks_the_same_requests_for_the_same_seed() throws IOException {
        String first = failures("read,p=0.5,seed=7,error=EIO");
        assertEquals(first, failures("read,p=0.5,seed=7,error=EIO"));
        assertFalse(first.equals(failures("read,p=0.5,seed=8,error=EIO")), first);
    }

    private String failures(String fault) throws IOException {
        InjectedFault injected = inject(fault);
        StringBuilder seen = new StringBuilder();
        try (RawClient client = RawClient.simple(address, "disk")) {
            for (int i = 0; i < 100; i++) {
                client.request(NbdProtocol.CMD_READ, i, 0, 1);
                int error = client.simpleReply().error();
                if (error == 0) {
                    client.receive(1);
                }
                seen.append(error == 0 ? '.' : 'x');
            }
        }
        injected.remove();
        return seen.toString();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "read | it has no effect",
                "reed,drop | 'reed' is none of any, read",
                "read@x,drop | it begins with OPERATIONS[@OFFSET[+LENGTH]]",
                "read,drop,cut=1 | it has one of",
                "read,p=2,drop | '2' is no probability",
                "read,nth=-1,drop | '-1' is no number",
                "read,delay=5 | '5' is no time",
                "read,error=EFOO | 'EFOO' is no number",
                "read,sometimes,drop | 'sometimes' is none of nth",
                "`` | it begins with"
            })
    void what_is_no_fault_is_refused_with_a_sentence(String text, String words) {
        var e = assertThrows(IllegalArgumentException.class, () -> ServerFault.parse(text));
        String message = String.valueOf(e.getMessage());
        assertTrue(message.startsWith("the fault '" + text + "': "), message);
        assertTrue(message.contains(words), message);
    }

    private NbdServer serving() {
        return NbdServer.start(Exports.of(new Export("disk", new Gate(memory))));
    }

    private InjectedFault inject(String text) {
        return server.inject(ServerFault.parse(text));
    }

    private int memoryByte(long offset) {
        ByteBuffer one = ByteBuffer.allocate(1);
        memory.read(offset, one);
        return one.get(0);
    }

    private static void assertReads(RawClient client) throws IOException {
        client.request(NbdProtocol.CMD_READ, 77, 4096, 4096);
        assertEquals(new RawClient.Simple(0, 77), client.simpleReply());
        client.receive(4096);
    }
}
