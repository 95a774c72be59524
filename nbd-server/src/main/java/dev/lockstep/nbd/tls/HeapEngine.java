package dev.lockstep.nbd.tls;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLEngineResult.Status;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;

/// The JDK's engine with arrays between it and its callers' buffers. Ours are in direct memory,
/// where the JDK's AES-GCM is slower than in arrays by more than copying to and fro costs. It takes
/// and gives one record a call.
///
/// It does one handshake: the JDK would do as many as the peer begins in TLS 1.2, and each costs
/// more than asking for it. A change of keys in TLS 1.3 is none.
final class HeapEngine extends SSLEngine {
    private final SSLEngine engine;
    private final ByteBuffer encrypted;
    private final ByteBuffer decrypted;

    /// A writer and a reader come at the same time, so each direction has its own arrays.
    private final ByteBuffer plain;

    private final ByteBuffer wrapped;

    private volatile boolean established;

    HeapEngine(SSLEngine engine) {
        this.engine = engine;
        SSLSession session = engine.getSession();
        encrypted = ByteBuffer.allocate(session.getPacketBufferSize());
        decrypted = ByteBuffer.allocate(session.getApplicationBufferSize());
        plain = ByteBuffer.allocate(TlsRecord.PLAINTEXT_BYTES_MAX);
        wrapped = ByteBuffer.allocate(session.getPacketBufferSize());
    }

    @Override
    public SSLEngineResult unwrap(ByteBuffer src, ByteBuffer[] dsts, int offset, int length)
            throws SSLException {
        int record = TlsRecord.bytes(src);
        if (record == 0) {
            record = Math.min(src.remaining(), encrypted.capacity()); // The engine says what it is.
        }
        if (record > src.remaining() && !engine.isInboundDone()) {
            return new SSLEngineResult(Status.BUFFER_UNDERFLOW, engine.getHandshakeStatus(), 0, 0);
        }
        if (TlsRecord.remaining(dsts, offset, length)
                < Math.min(record, TlsRecord.PLAINTEXT_BYTES_MAX)) {
            return new SSLEngineResult(Status.BUFFER_OVERFLOW, engine.getHandshakeStatus(), 0, 0);
        }
        if (established && TlsRecord.isHandshake(src)) {
            throw new SSLException("a second handshake is refused");
        }
        int count = Math.min(record, src.remaining());
        encrypted.clear().put(0, src, src.position(), count).limit(count);
        SSLEngineResult result = engine.unwrap(encrypted, decrypted.clear());
        noteEnd(result);
        src.position(src.position() + encrypted.position());
        decrypted.flip();
        for (int i = offset; decrypted.hasRemaining(); i++) {
            TlsRecord.move(decrypted, dsts[i]);
        }
        return result;
    }

    @Override
    public SSLEngineResult wrap(ByteBuffer[] srcs, int offset, int length, ByteBuffer dst)
            throws SSLException {
        if (dst.remaining() < wrapped.capacity()) {
            return new SSLEngineResult(Status.BUFFER_OVERFLOW, engine.getHandshakeStatus(), 0, 0);
        }
        plain.clear();
        for (int i = offset; i < offset + length && plain.hasRemaining(); i++) {
            TlsRecord.move(srcs[i].duplicate(), plain);
        }
        plain.flip();
        SSLEngineResult result = engine.wrap(plain, wrapped.clear());
        noteEnd(result);
        int left = result.bytesConsumed();
        for (int i = offset; left > 0; i++) {
            int count = Math.min(left, srcs[i].remaining());
            srcs[i].position(srcs[i].position() + count);
            left -= count;
        }
        wrapped.flip();
        TlsRecord.move(wrapped, dst);
        return result;
    }

    private void noteEnd(SSLEngineResult result) {
        if (result.getHandshakeStatus() == HandshakeStatus.FINISHED) {
            established = true;
        }
    }

    @Override
    public @Nullable Runnable getDelegatedTask() {
        return engine.getDelegatedTask();
    }

    @Override
    public void closeInbound() throws SSLException {
        engine.closeInbound();
    }

    @Override
    public boolean isInboundDone() {
        return engine.isInboundDone();
    }

    @Override
    public void closeOutbound() {
        engine.closeOutbound();
    }

    @Override
    public boolean isOutboundDone() {
        return engine.isOutboundDone();
    }

    @Override
    public String[] getSupportedCipherSuites() {
        return engine.getSupportedCipherSuites();
    }

    @Override
    public String[] getEnabledCipherSuites() {
        return engine.getEnabledCipherSuites();
    }

    @Override
    public void setEnabledCipherSuites(String[] suites) {
        engine.setEnabledCipherSuites(suites);
    }

    @Override
    public String[] getSupportedProtocols() {
        return engine.getSupportedProtocols();
    }

    @Override
    public String[] getEnabledProtocols() {
        return engine.getEnabledProtocols();
    }

    @Override
    public void setEnabledProtocols(String[] protocols) {
        engine.setEnabledProtocols(protocols);
    }

    @Override
    public SSLSession getSession() {
        return engine.getSession();
    }

    @Override
    public void beginHandshake() throws SSLException {
        engine.beginHandshake();
    }

    @Override
    public HandshakeStatus getHandshakeStatus() {
        return engine.getHandshakeStatus();
    }

    @Override
    public void setUseClientMode(boolean mode) {
        engine.setUseClientMode(mode);
    }

    @Override
    public boolean getUseClientMode() {
        return engine.getUseClientMode();
    }

    @Override
    public void setNeedClientAuth(boolean need) {
        engine.setNeedClientAuth(need);
    }

    @Override
    public boolean getNeedClientAuth() {
        return engine.getNeedClientAuth();
    }

    @Override
    public void setWantClientAuth(boolean want) {
        engine.setWantClientAuth(want);
    }

    @Override
    public boolean getWantClientAuth() {
        return engine.getWantClientAuth();
    }

    @Override
    public void setEnableSessionCreation(boolean flag) {
        engine.setEnableSessionCreation(flag);
    }

    @Override
    public boolean getEnableSessionCreation() {
        return engine.getEnableSessionCreation();
    }

    @Override
    public SSLParameters getSSLParameters() {
        return engine.getSSLParameters();
    }

    @Override
    public void setSSLParameters(SSLParameters parameters) {
        engine.setSSLParameters(parameters);
    }
}
