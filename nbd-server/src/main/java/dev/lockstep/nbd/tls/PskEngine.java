package dev.lockstep.nbd.tls;

import org.bouncycastle.tls.TlsProtocol;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLEngineResult.Status;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSession;

/// Bouncy Castle's protocol in its non-blocking form as an engine of the JDK's kind, for pre-shared
/// keys. It takes and gives one record a call.
///
/// What a record of the handshake asks for takes about a millisecond of arithmetic, so it is left
/// to a delegated task, as the JDK's engine does it, and an event loop need not do it itself.
///
/// Nothing about it can be configured: what the setters of [SSLEngine] would change is fixed.
final class PskEngine extends SSLEngine {
    /// Begins the handshake of one end.
    interface Beginning {
        TlsProtocol begin() throws IOException;
    }

    private final boolean client;
    private final Beginning beginning;
    private final PskSession session;

    /// Guards: everything that follows. A reader and a writer come at the same time.
    private final ReentrantLock lock = new ReentrantLock();

    private final byte[] scratch = new byte[TlsRecord.BYTES_MAX];
    private @Nullable TlsProtocol protocol;
    private @Nullable SSLException failure;

    /// What is to be done with the last record of the handshake, until it is done.
    private @Nullable Runnable task;

    private boolean taskWasTaken;
    private boolean finishedWasTold;
    private boolean outboundClosed;

    PskEngine(boolean client, PskSession session, Beginning beginning) {
        this.client = client;
        this.session = session;
        this.beginning = beginning;
    }

    @Override
    public SSLEngineResult unwrap(ByteBuffer src, ByteBuffer[] dsts, int offset, int length)
            throws SSLException {
        lock.lock();
        try {
            TlsProtocol current = begun();
            if (current.isClosed()) {
                return result(Status.CLOSED, 0, 0);
            }
            if (current.isHandshaking() && status() != HandshakeStatus.NEED_UNWRAP) {
                return result(Status.OK, 0, 0);
            }
            int record = TlsRecord.bytes(src);
            if (record == 0) {
                throw new SSLException("what came is no TLS");
            }
            if (src.remaining() < record) {
                return result(Status.BUFFER_UNDERFLOW, 0, 0);
            }
            if (TlsRecord.remaining(dsts, offset, length)
                    < Math.min(record, TlsRecord.PLAINTEXT_BYTES_MAX)) {
                return result(Status.BUFFER_OVERFLOW, 0, 0);
            }
            if (current.isHandshaking()) {
                byte[] kept = new byte[record];
                src.get(kept);
                task = () -> shakeHands(current, kept);
                taskWasTaken = false;
                return result(Status.OK, record, 0);
            }
            src.get(scratch, 0, record);
            offer(current, scratch, record);
            if (failure != null) {
                throw failure;
            }
            int produced = read(current, dsts, offset, length);
            return result(current.isClosed() ? Status.CLOSED : Status.OK, record, produced);
        } finally {
            lock.unlock();
        }
    }

    private void shakeHands(TlsProtocol with, byte[] record) {
        lock.lock();
        try {
            offer(with, record, record.length);
            task = null;
        } finally {
            lock.unlock();
        }
    }

    /// A failure of the handshake is thrown by [#wrap], after the alert.
    private void offer(TlsProtocol to, byte[] record, int bytes) {
        try {
            to.offerInput(record, 0, bytes);
        } catch (IOException | RuntimeException e) {
            failure = new SSLException(e.getMessage(), e);
        }
    }

    private static int read(TlsProtocol from, ByteBuffer[] dsts, int offset, int length) {
        int produced = 0;
        for (int i = offset; i < offset + length; i++) {
            int count = Math.min(dsts[i].remaining(), from.getAvailableInputBytes());
            if (count > 0) {
                produced += from.readInput(dsts[i], count);
            }
        }
        return produced;
    }

    @Override
    public SSLEngineResult wrap(ByteBuffer[] srcs, int offset, int length, ByteBuffer dst)
            throws SSLException {
        lock.lock();
        try {
            TlsProtocol current = begun();
            int consumed = 0;
            if (current.getAvailableOutputBytes() == 0) {
                if (failure != null) {
                    throw failure;
                }
                if (outboundClosed || current.isClosed()) {
                    return result(Status.CLOSED, 0, 0);
                }
                long waiting = TlsRecord.remaining(srcs, offset, length);
                if (!current.isHandshaking() && waiting > 0) {
                    if (dst.remaining() < TlsRecord.BYTES_MAX) {
                        return result(Status.BUFFER_OVERFLOW, 0, 0);
                    }
                    consumed = gather(srcs, offset, length);
                    encrypt(current, consumed);
                }
            }
            int produced = Math.min(dst.remaining(), current.getAvailableOutputBytes());
            if (produced > 0) {
                current.readOutput(dst, produced);
            } else if (current.getAvailableOutputBytes() > 0) {
                return result(Status.BUFFER_OVERFLOW, consumed, 0);
            }
            return result(Status.OK, consumed, produced);
        } finally {
            lock.unlock();
        }
    }

    private int gather(ByteBuffer[] srcs, int offset, int length) {
        int gathered = 0;
        for (int i = offset; i < offset + length && gathered < TlsRecord.PLAINTEXT_BYTES_MAX; i++) {
            int count = Math.min(srcs[i].remaining(), TlsRecord.PLAINTEXT_BYTES_MAX - gathered);
            srcs[i].get(scratch, gathered, count);
            gathered += count;
        }
        return gathered;
    }

    private void encrypt(TlsProtocol with, int bytes) throws SSLException {
        try {
            with.writeApplicationData(scratch, 0, bytes);
        } catch (IOException e) {
            throw new SSLException(e.getMessage(), e);
        }
    }

    private TlsProtocol begun() throws SSLException {
        TlsProtocol current = protocol;
        if (current == null) {
            try {
                current = beginning.begin();
            } catch (IOException e) {
                throw new SSLException(e.getMessage(), e);
            }
            protocol = current;
        }
        return current;
    }

    private SSLEngineResult result(Status status, int consumed, int produced) {
        HandshakeStatus next = status();
        if (next == HandshakeStatus.NOT_HANDSHAKING
                && !finishedWasTold
                && protocol != null
                && protocol.isConnected()) {
            finishedWasTold = true;
            next = HandshakeStatus.FINISHED;
        }
        return new SSLEngineResult(status, next, consumed, produced);
    }

    private HandshakeStatus status() {
        if (protocol == null) {
            return HandshakeStatus.NOT_HANDSHAKING;
        }
        if (task != null) {
            return HandshakeStatus.NEED_TASK;
        }
        if (protocol.getAvailableOutputBytes() > 0 || failure != null) {
            return HandshakeStatus.NEED_WRAP;
        }
        return protocol.isHandshaking()
                ? HandshakeStatus.NEED_UNWRAP
                : HandshakeStatus.NOT_HANDSHAKING;
    }

    @Override
    public HandshakeStatus getHandshakeStatus() {
        lock.lock();
        try {
            return status();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void beginHandshake() throws SSLException {
        lock.lock();
        try {
            begun();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void closeInbound() throws SSLException {
        lock.lock();
        try {
            if (protocol != null) {
                protocol.closeInput();
            }
        } catch (IOException e) {
            throw new SSLException(e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void closeOutbound() {
        lock.lock();
        try {
            outboundClosed = true;
            if (protocol != null) {
                protocol.close();
            }
        } catch (IOException _) {
            // There is nobody left to be told.
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean isInboundDone() {
        lock.lock();
        try {
            return protocol != null && protocol.isClosed();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean isOutboundDone() {
        lock.lock();
        try {
            return protocol == null
                    ? outboundClosed
                    : protocol.isClosed() && protocol.getAvailableOutputBytes() == 0;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public @Nullable Runnable getDelegatedTask() {
        lock.lock();
        try {
            if (taskWasTaken) {
                return null;
            }
            taskWasTaken = true;
            return task;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public SSLSession getSession() {
        return session;
    }

    @Override
    public String[] getSupportedCipherSuites() {
        return new String[0];
    }

    @Override
    public String[] getEnabledCipherSuites() {
        return new String[0];
    }

    @Override
    public void setEnabledCipherSuites(String[] suites) {
        throw fixed();
    }

    @Override
    public String[] getSupportedProtocols() {
        return new String[] {"TLSv1.3", "TLSv1.2"};
    }

    @Override
    public String[] getEnabledProtocols() {
        return getSupportedProtocols();
    }

    @Override
    public void setEnabledProtocols(String[] protocols) {
        throw fixed();
    }

    @Override
    public void setUseClientMode(boolean mode) {
        throw fixed();
    }

    @Override
    public boolean getUseClientMode() {
        return client;
    }

    @Override
    public void setNeedClientAuth(boolean need) {
        throw fixed();
    }

    @Override
    public boolean getNeedClientAuth() {
        return false;
    }

    @Override
    public void setWantClientAuth(boolean want) {
        throw fixed();
    }

    @Override
    public boolean getWantClientAuth() {
        return false;
    }

    @Override
    public void setEnableSessionCreation(boolean flag) {
        throw fixed();
    }

    @Override
    public boolean getEnableSessionCreation() {
        return true;
    }

    private static UnsupportedOperationException fixed() {
        return new UnsupportedOperationException("pre-shared keys leave nothing to configure");
    }
}
