package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.block.raw.RawDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Exports that change their size, at a client's request or by themselves.
class ResizeTest {
    private static final long SIZE = 1 << 20;

    @TempDir private Path folder;
    private FileDevice file = FileDevice.inMemory("none", SIZE);
    private NbdServer server = NbdServer.start(Exports.of());
    private Address address = new Address.Tcp("127.0.0.1", 0);

    ResizeTest() throws IOException {}

    @BeforeEach
    void listen() throws IOException {
        server.close();
        file.close();
        file = FileDevice.create(FileOptions.of(folder.resolve("disk")), SIZE);
        Gate edge = new Gate(file);
        Export disk = new Export("disk", new Gate(RawDevice.whole(edge)));
        server =
                NbdServer.start(
                        Exports.of(
                                disk.withResizing(),
                                new Export("frozen", Gate.readOnly(file)).withResizing(),
                                new Export("fixed", new Gate(file)),
                                new Export("memory", new Gate(new MemoryDevice("m", SIZE)))
                                        .withResizing()));
        address = server.listen(address);
    }

    @AfterEach
    void close() throws IOException {
        server.close();
        file.close();
    }

    @Test
    @Shows("resize.larger")
    void a_client_makes_the_export_larger_and_uses_what_it_gained() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertEquals(NbdProtocol.ENOSPC, write(client, SIZE));
            assertEquals(0, resize(client, 2 * SIZE));
            assertEquals(0, write(client, SIZE));
            assertEquals(NbdProtocol.ENOSPC, write(client, 2 * SIZE));
        }
        assertEquals(2 * SIZE, Files.size(folder.resolve("disk")));
        assertEquals(2 * SIZE, told("disk"));
    }

    @Test
    @Shows("resize.smaller")
    void a_client_makes_the_export_smaller_and_finds_no_space_beyond() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertEquals(0, resize(client, SIZE / 2));
            assertEquals(NbdProtocol.ENOSPC, write(client, SIZE / 2));
            assertEquals(0, write(client, SIZE / 2 - 512));
        }
        assertEquals(SIZE / 2, Files.size(folder.resolve("disk")));
        assertEquals(SIZE / 2, told("disk"));
    }

    @Test
    void another_connection_keeps_the_size_that_it_was_told() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk");
                RawClient other = RawClient.simple(address, "disk")) {
            assertEquals(0, resize(client, 2 * SIZE));
            assertEquals(NbdProtocol.ENOSPC, write(other, SIZE));
            assertEquals(0, resize(client, SIZE / 2));
            assertEquals(NbdProtocol.ENOSPC, write(other, SIZE / 2));
        }
    }

    @Test
    @Shows("resize.offered")
    void resizing_is_offered_and_allowed_only_where_the_export_says_so() throws IOException {
        for (String name : List.of("fixed", "frozen")) {
            assertEquals(0, flags(name) & NbdProtocol.FLAG_SEND_RESIZE, name);
            try (RawClient client = RawClient.simple(address, name)) {
                assertEquals(NbdProtocol.EINVAL, resize(client, 2 * SIZE));
            }
        }
        assertEquals(NbdProtocol.FLAG_SEND_RESIZE, flags("disk") & NbdProtocol.FLAG_SEND_RESIZE);
    }

    @Test
    @Shows("resize.errors")
    void a_size_that_cannot_be_is_refused_and_the_size_stays() throws IOException {
        try (RawClient client = RawClient.simple(address, "disk")) {
            assertEquals(NbdProtocol.EINVAL, resize(client, SIZE + 1));
            assertEquals(NbdProtocol.EINVAL, resize(client, -512));
            assertEquals(NbdProtocol.ENOSPC, resize(client, Long.MAX_VALUE & -512));
            assertEquals(0, write(client, SIZE - 512));
        }
        try (RawClient client = RawClient.simple(address, "memory")) {
            assertEquals(NbdProtocol.EPERM, resize(client, 2 * SIZE));
        }
        assertEquals(SIZE, told("disk"));
    }

    @Test
    void growth_of_the_file_is_seen_by_info_and_by_new_connections() throws IOException {
        try (RawClient old = RawClient.simple(address, "disk")) {
            try (RandomAccessFile grown =
                    new RandomAccessFile(folder.resolve("disk").toFile(), "rw")) {
                grown.setLength(3 * SIZE);
            }
            assertEquals(3 * SIZE, told("disk"));
            try (RawClient client = RawClient.simple(address, "disk")) {
                assertEquals(0, write(client, 3 * SIZE - 512));
            }
            assertEquals(NbdProtocol.ENOSPC, write(old, SIZE));
        }
    }

    private static int resize(RawClient client, long bytes) throws IOException {
        return client.request(NbdProtocol.CMD_RESIZE, 7, bytes, 0).simpleReply().error();
    }

    private static int write(RawClient client, long offset) throws IOException {
        client.request(NbdProtocol.CMD_WRITE, 8, offset, 512);
        return client.send(ByteBuffer.allocate(512)).simpleReply().error();
    }

    private long told(String name) throws IOException {
        return info(name).size();
    }

    private int flags(String name) throws IOException {
        return info(name).transmissionFlags();
    }

    private OptionReply.InfoExport info(String name) throws IOException {
        try (RawClient client = RawClient.connect(address).flags(3)) {
            return assertInstanceOf(
                    OptionReply.InfoExport.class,
                    client.ask(new Option.ExportInfo(name, List.of())).getFirst());
        }
    }
}
