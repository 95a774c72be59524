package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.MarkedBytes;
import dev.lockstep.nbd.MetaContext;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/// An export whose requests are whole blocks.
class BlockSizeTest {
    private static final int BLOCK = 4096;
    private static final long SIZE = 4 << 20;

    private final MemoryDevice memory = new MemoryDevice("disk", SIZE + 100);
    private final ClusterBitmap dirty = new ClusterBitmap(SIZE / 1024);
    private final Gate gate = new Gate(memory);
    private final Export disk =
            new Export("disk", gate)
                    .withMinimumBlockSize(BLOCK)
                    .withContext(MetaContext.dirtyBitmap("b", MarkedBytes.of(dirty, 1024)));
    private final NbdServer server = NbdServer.start(Exports.of(disk));
    private Address address = new Address.Tcp("127.0.0.1", 0);

    @BeforeEach
    void listen() throws IOException {
        address = server.listen(address);
    }

    @AfterEach
    void close() {
        server.close();
    }

    @Test
    @Shows({"size.misaligned", "size.enforced"})
    void what_is_not_whole_blocks_is_refused_and_changes_nothing() throws Exception {
        memory.write(0, ByteBuffer.allocate(BLOCK).put(10, (byte) 1), WriteFlag.NONE);
        try (RawClient client = RawClient.extended(address, "disk", "base:allocation")) {
            for (int type :
                    List.of(
                            NbdProtocol.CMD_READ,
                            NbdProtocol.CMD_TRIM,
                            NbdProtocol.CMD_CACHE,
                            NbdProtocol.CMD_WRITE_ZEROES,
                            NbdProtocol.CMD_BLOCK_STATUS)) {
                for (long offset : List.of(0L, 512L)) {
                    long length = offset == 0 ? 512 : BLOCK;
                    client.send(RawClient.extendedHeader(0, type, 1, offset, length));
                    assertEquals(NbdProtocol.EINVAL, client.extendedChunk().error());
                }
            }
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_WRITE, 1, 1, BLOCK));
            client.send(ByteBuffer.allocate(BLOCK));
            assertEquals(NbdProtocol.EINVAL, client.extendedChunk().error());
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_READ, 1, 0, BLOCK));
            assertEquals(1, client.extendedChunk().payload().get(8 + 10));
        }
    }

    @Test
    @Shows("size.extents")
    void extents_are_whole_blocks_and_a_block_is_marked_if_a_part_of_it_is() throws IOException {
        dirty.set(5);
        try (RawClient client = RawClient.extended(address, "disk", "qemu:dirty-bitmap:b")) {
            client.send(RawClient.extendedHeader(0, NbdProtocol.CMD_BLOCK_STATUS, 1, 0, SIZE));
            ByteBuffer extents = client.extendedChunk().payload().position(4);
            assertEquals(3, extents.getInt());
            assertEquals(BLOCK, extents.getLong());
            assertEquals(0, extents.getLong());
            assertEquals(BLOCK, extents.getLong());
            assertEquals(1, extents.getLong());
            assertEquals(SIZE - 2 * BLOCK, extents.getLong());
            assertEquals(0, extents.getLong());
        }
    }

    @Test
    @Shows({"size.multiple", "go.block-size-reqd"})
    void a_client_that_does_not_ask_for_block_sizes_is_refused() throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            assertEquals(
                    NbdProtocol.REP_ERR_BLOCK_SIZE_REQD,
                    assertInstanceOf(
                                    OptionReply.Refusal.class,
                                    client.ask(new Option.Go("disk", List.of())).getFirst())
                            .type());
            assertTrue(
                    client.ask(new Option.ExportInfo("disk", List.of(NbdProtocol.INFO_BLOCK_SIZE)))
                            .contains(
                                    new OptionReply.InfoBlockSize(
                                            BLOCK, BLOCK, NbdProtocol.PAYLOAD_BYTES_MAX)));
            OptionReply.InfoExport info =
                    assertInstanceOf(
                            OptionReply.InfoExport.class,
                            client.ask(new Option.Go("disk", List.of())).getFirst());
            assertEquals(SIZE, info.size(), "the last 100 bytes are no block");
        }
        try (RawClient client = RawClient.connect(address).flags(3)) {
            assertThrows(EOFException.class, () -> client.ask(new Option.ExportName("disk")));
        }
    }

    @Test
    void a_minimum_that_the_protocol_does_not_know_is_refused() {
        for (int wrong : List.of(0, -1, 3, 1 << 17)) {
            assertThrows(IllegalArgumentException.class, () -> disk.withMinimumBlockSize(wrong));
        }
    }
}
