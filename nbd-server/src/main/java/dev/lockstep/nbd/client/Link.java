package dev.lockstep.nbd.client;

import dev.lockstep.nbd.tls.TlsChannel;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.GatheringByteChannel;
import java.nio.channels.SocketChannel;

import javax.net.ssl.SSLEngine;

/// The two directions of a connection, plain or encrypted.
///
/// It blocks: a read returns at least one byte or the end, a write takes at least one. At most one
/// thread reads and at most one writes at a time. Closing it, from any thread, ends both.
interface Link extends ByteChannel, GatheringByteChannel {
    /// Whether what passes is encrypted.
    boolean isEncrypted();

    @Override
    default long write(ByteBuffer[] sources) throws IOException {
        return write(sources, 0, sources.length);
    }

    /// Tells the other side of an encrypted connection that nothing follows.
    default void sayClosed() {}

    /// A connected socket as it is.
    static Link of(SocketChannel socket) {
        return new Plain(socket);
    }

    /// Does a TLS handshake over a link that belongs to the new one from then on.
    static Link encrypted(Link below, SSLEngine engine) throws IOException {
        return new Encrypted(TlsChannel.handshake(below, engine));
    }

    /// TLS between us and the socket.
    record Encrypted(TlsChannel tls) implements Link {
        @Override
        public boolean isEncrypted() {
            return true;
        }

        @Override
        public int read(ByteBuffer target) throws IOException {
            return tls.read(target);
        }

        @Override
        public int write(ByteBuffer source) throws IOException {
            return tls.write(source);
        }

        @Override
        public long write(ByteBuffer[] sources, int offset, int length) throws IOException {
            return tls.write(sources, offset, length);
        }

        @Override
        public boolean isOpen() {
            return tls.isOpen();
        }

        @Override
        public void sayClosed() {
            tls.sayClosed();
        }

        @Override
        public void close() throws IOException {
            tls.close();
        }
    }

    /// Nothing between us and the socket.
    record Plain(SocketChannel socket) implements Link {
        @Override
        public boolean isEncrypted() {
            return false;
        }

        @Override
        public int read(ByteBuffer target) throws IOException {
            return socket.read(target);
        }

        @Override
        public int write(ByteBuffer source) throws IOException {
            return socket.write(source);
        }

        @Override
        public long write(ByteBuffer[] sources, int offset, int length) throws IOException {
            return socket.write(sources, offset, length);
        }

        @Override
        public boolean isOpen() {
            return socket.isOpen();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }
}
