package dev.lockstep.cli;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.server.InheritedSockets;
import dev.lockstep.nbd.server.NbdServer;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/// Serves the client that has started this process, on standard input and output. One socket for
/// both is served as any other; two pipes are pumped to and from a socket of our own.
final class StandardStreams {
    private static final int STANDARD_INPUT = 0;
    private static final int STANDARD_OUTPUT = 1;

    /// What one read of a full pipe returns.
    private static final int PUMP_BYTES = 64 << 10;

    private StandardStreams() {}

    /// Returns when the client has gone.
    static void serve(NbdServer server) throws IOException, InterruptedException {
        if (InheritedSockets.isSameSocket(STANDARD_INPUT, STANDARD_OUTPUT)) {
            server.serve(STANDARD_INPUT);
            return;
        }
        Path folder = Files.createTempDirectory("lockstep");
        Address address = new Address.Unix(folder.resolve("stdio"));
        try (SocketChannel socket = address.openSocket();
                FileChannel in = new FileInputStream(FileDescriptor.in).getChannel();
                FileChannel out = new FileOutputStream(FileDescriptor.out).getChannel()) {
            Address _ = server.listen(address);
            socket.connect(address.socketAddress());
            Thread input =
                    Thread.ofPlatform()
                            .daemon()
                            .name("standard input")
                            .start(() -> pumpInput(in, socket));
            pump(socket, out);
            input.interrupt();
        } finally {
            Files.deleteIfExists(folder.resolve("stdio"));
            Files.deleteIfExists(folder);
        }
    }

    private static void pumpInput(FileChannel in, SocketChannel socket) {
        try {
            pump(in, socket);
            socket.shutdownOutput();
        } catch (IOException _) {
            // The other direction ends too, and says so where it matters.
        }
    }

    private static void pump(ReadableByteChannel from, WritableByteChannel to) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(PUMP_BYTES);
        while (from.read(buffer.clear()) >= 0) {
            buffer.flip();
            while (buffer.hasRemaining()) {
                to.write(buffer);
            }
        }
    }
}
