package dev.lockstep.nbd.tls;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.GatheringByteChannel;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLException;

/// A blocking channel through which everything passes encrypted. One thread reads while another
/// writes; closing, from any thread, ends both.
///
/// Neither NBD nor the monitor needs the end of the stream to be authentic, since both say goodbye
/// in their own protocol. Therefore the end of the socket is the end of the stream, and closing
/// sends nothing: it never waits for a peer that does not read. Who has said goodbye calls
/// [#sayClosed] first.
public final class TlsChannel implements ByteChannel, GatheringByteChannel {
    /// 15 records: what a system call takes or gives of a long stream.
    private static final int BUFFER_BYTES = 256 << 10;

    private static final ByteBuffer[] NOTHING = {};

    private final ByteChannel socket;
    private final SSLEngine engine;
    private final TlsAuthorization authorization;

    /// The least room in which a record fits, whatever it holds.
    private final int recordBytes;

    /// From the socket, not decrypted yet; between position and limit. The reader's.
    private final ByteBuffer received = ByteBuffer.allocateDirect(BUFFER_BYTES).limit(0);

    /// What was decrypted beyond the room of its reader; between position and limit. The reader's.
    private final ByteBuffer decrypted;

    /// Guards: sending, and who writes to the socket.
    private final ReentrantLock writing = new ReentrantLock();

    /// An array, since the JDK encrypts in one fastest.
    private final ByteBuffer sending = ByteBuffer.allocate(BUFFER_BYTES);

    /// Guards: begun. Held during the handshake.
    private final ReentrantLock beginning = new ReentrantLock();

    private volatile boolean begun;

    /// Opens when the handshake is done, or nobody waits for it any more.
    private final CountDownLatch settled = new CountDownLatch(1);

    private TlsChannel(ByteChannel socket, SSLEngine engine, TlsAuthorization authorization) {
        this.socket = socket;
        this.engine = engine;
        this.authorization = authorization;
        this.recordBytes = engine.getSession().getPacketBufferSize();
        this.decrypted = ByteBuffer.allocateDirect(recordBytes).limit(0);
    }

    /// A channel that does the handshake as soon as somebody reads or writes, which fails if the
    /// handshake does.
    public static TlsChannel of(ByteChannel socket, SSLEngine engine) {
        return new TlsChannel(socket, engine, TlsAuthorization.ANYONE);
    }

    /// The same for a server. The socket is closed if there is no handshake in time.
    ///
    /// @throws IOException if the credentials cannot be read, and never could
    public static TlsChannel of(ByteChannel socket, ServerTls tls, Duration patience)
            throws IOException {
        TlsChannel channel =
                new TlsChannel(socket, tls.credentials().newEngine(null), tls.authorization());
        Thread.startVirtualThread(() -> channel.closeUnlessBegun(patience));
        return channel;
    }

    /// Does the handshake on a connected blocking socket. An engine of a client verifies the server
    /// in it.
    ///
    /// @throws IOException if it fails, with one sentence that says why
    public static TlsChannel handshake(ByteChannel socket, SSLEngine engine) throws IOException {
        TlsChannel channel = of(socket, engine);
        channel.begin();
        return channel;
    }

    private void begin() throws IOException {
        if (begun) {
            return;
        }
        beginning.lock();
        try {
            if (begun) {
                return;
            }
            handshake();
            if (!authorization.allows(identity())) {
                throw new IOException("'%s' is not authorized".formatted(identity()));
            }
            begun = true;
            settled.countDown();
        } catch (SSLException e) {
            throw new IOException("TLS does not come about: " + TlsFailure.words(e), e);
        } catch (EOFException e) {
            throw new IOException("the other side hung up in the TLS handshake", e);
        } finally {
            beginning.unlock();
        }
    }

    private void closeUnlessBegun(Duration patience) {
        try {
            if (!settled.await(patience.toNanos(), TimeUnit.NANOSECONDS)) {
                socket.close();
            }
        } catch (InterruptedException | IOException _) {
            // It is given up either way.
        }
    }

    /// Who is at the other end, as [TlsIdentity] has it.
    public String identity() {
        return TlsIdentity.of(engine);
    }

    private void handshake() throws IOException {
        engine.beginHandshake();
        while (true) {
            switch (engine.getHandshakeStatus()) {
                case NEED_WRAP -> sendOwn();
                case NEED_TASK -> runTasks();
                case NEED_UNWRAP, NEED_UNWRAP_AGAIN -> {
                    if (unwrap(decrypted.clear()) == Progress.ENDED) {
                        throw new EOFException();
                    }
                    decrypted.flip();
                }
                case FINISHED, NOT_HANDSHAKING -> {
                    return;
                }
            }
        }
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        begin();
        int before = target.position();
        if (decrypted.hasRemaining()) {
            int count = Math.min(decrypted.remaining(), target.remaining());
            target.put(target.position(), decrypted, decrypted.position(), count);
            target.position(target.position() + count);
            decrypted.position(decrypted.position() + count);
            return count;
        }
        try {
            while (target.position() == before && target.hasRemaining()) {
                if (!fill(target)) {
                    return -1;
                }
            }
        } catch (SSLException e) {
            throw new IOException("TLS failed: " + TlsFailure.words(e), e);
        }
        return target.position() - before;
    }

    /// Decrypts what has been received, as far as there is room, or waits for more.
    ///
    /// @return false at the end of the stream
    private boolean fill(ByteBuffer target) throws IOException {
        if (target.remaining() < recordBytes) {
            decrypted.clear();
            Progress progress = unwrap(decrypted);
            decrypted.flip();
            int count = Math.min(decrypted.remaining(), target.remaining());
            target.put(target.position(), decrypted, 0, count);
            target.position(target.position() + count);
            decrypted.position(count);
            return progress != Progress.ENDED;
        }
        Progress progress;
        do {
            progress = unwrap(target);
        } while (progress == Progress.DONE
                && target.remaining() >= recordBytes
                && received.hasRemaining()
                && received.remaining() >= TlsRecord.bytes(received));
        return progress != Progress.ENDED;
    }

    private enum Progress {
        /// A record was taken.
        DONE,
        /// There will be no more.
        ENDED
    }

    /// Takes one record, waiting for it, and does what it asks for.
    private Progress unwrap(ByteBuffer target) throws IOException {
        while (true) {
            SSLEngineResult result = engine.unwrap(received, target);
            switch (result.getStatus()) {
                case CLOSED -> {
                    return Progress.ENDED;
                }
                case BUFFER_UNDERFLOW -> {
                    if (!receive()) {
                        return Progress.ENDED;
                    }
                    continue;
                }
                case BUFFER_OVERFLOW -> throw new SSLException("a record is longer than allowed");
                case OK -> {}
            }
            switch (result.getHandshakeStatus()) {
                case NEED_TASK -> runTasks();
                case NEED_WRAP -> sendOwn();
                case NEED_UNWRAP, NEED_UNWRAP_AGAIN, FINISHED, NOT_HANDSHAKING -> {}
            }
            return Progress.DONE;
        }
    }

    private boolean receive() throws IOException {
        received.compact();
        try {
            return socket.read(received) >= 0;
        } finally {
            received.flip();
        }
    }

    private void runTasks() {
        for (Runnable task = engine.getDelegatedTask();
                task != null;
                task = engine.getDelegatedTask()) {
            task.run();
        }
    }

    @Override
    public int write(ByteBuffer source) throws IOException {
        return (int) write(new ByteBuffer[] {source}, 0, 1);
    }

    @Override
    public long write(ByteBuffer[] sources) throws IOException {
        return write(sources, 0, sources.length);
    }

    /// Takes all of it.
    @Override
    public long write(ByteBuffer[] sources, int offset, int length) throws IOException {
        begin();
        long bytes = 0;
        for (int i = offset; i < offset + length; i++) {
            bytes += sources[i].remaining();
        }
        writing.lock();
        try {
            for (long left = bytes; left > 0; ) {
                left -= wrap(sources, offset, length);
            }
            flush();
        } finally {
            writing.unlock();
        }
        sendOwn();
        return bytes;
    }

    /// Sends what the engine itself has to say. If somebody else is writing it is left to them, who
    /// come here afterwards: the reader must not wait for a writer.
    private void sendOwn() throws IOException {
        while (engine.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NEED_WRAP
                && writing.tryLock()) {
            try {
                wrap(NOTHING, 0, 0);
                flush();
            } finally {
                writing.unlock();
            }
        }
    }

    /// Encrypts the next record.
    ///
    /// @return how much it took of the sources
    private int wrap(ByteBuffer[] sources, int offset, int length) throws IOException {
        if (sending.remaining() < recordBytes) {
            flush();
        }
        SSLEngineResult result = engine.wrap(sources, offset, length, sending);
        switch (result.getStatus()) {
            case CLOSED -> {
                flush();
                throw new EOFException("the other side has ended TLS");
            }
            case BUFFER_OVERFLOW, BUFFER_UNDERFLOW ->
                    throw new SSLException("a record of %d bytes".formatted(sending.remaining()));
            case OK -> {}
        }
        if (result.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NEED_TASK) {
            runTasks();
        }
        return result.bytesConsumed();
    }

    private void flush() throws IOException {
        sending.flip();
        while (sending.hasRemaining()) {
            socket.write(sending);
        }
        sending.clear();
    }

    /// Tells the other side that nothing follows (close_notify), unless somebody is still writing.
    /// Whether that arrives does not matter. It may wait for a peer that does not read.
    public void sayClosed() {
        if (!begun || !writing.tryLock()) {
            return;
        }
        try {
            engine.closeOutbound();
            while (!engine.isOutboundDone() && engine.wrap(NOTHING, sending).bytesProduced() > 0) {
                flush();
            }
        } catch (IOException _) {
            // The other side has gone, and needs no goodbye.
        } finally {
            writing.unlock();
        }
    }

    @Override
    public boolean isOpen() {
        return socket.isOpen();
    }

    @Override
    public void close() throws IOException {
        settled.countDown();
        socket.close();
    }
}
