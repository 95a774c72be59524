package dev.lockstep.it;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// A cable on loopback: forwards every connection made to its port to another port. It can be cut,
/// which lets nothing through and tells nobody (as pulling the plug does), and severed, which
/// resets every connection.
final class Link implements AutoCloseable {
    private final ServerSocket listener;
    private final int targetPort;
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();

    /// Guards: cut. Condition: `joined` wakes forwarders when the cable is whole again.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition joined = lock.newCondition();
    private boolean cut;

    Link(int targetPort) {
        this.targetPort = targetPort;
        try {
            listener = new ServerSocket(0, 64, InetAddress.getLoopbackAddress());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Thread.ofVirtual().start(this::accept);
    }

    int port() {
        return listener.getLocalPort();
    }

    /// Lets nothing through from now on; bytes already forwarded have arrived.
    void cut() {
        setCut(true);
    }

    /// Lets everything through again, what waited included.
    void join() {
        setCut(false);
    }

    /// Closes every connection.
    void sever() {
        sockets.forEach(Link::closeQuietly);
    }

    @Override
    public void close() {
        try {
            listener.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        sever();
        join();
    }

    private void setCut(boolean value) {
        lock.lock();
        try {
            cut = value;
            joined.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void awaitWhole() {
        lock.lock();
        try {
            while (cut && !listener.isClosed()) {
                joined.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private void accept() {
        while (!listener.isClosed()) {
            try {
                Socket near = listener.accept();
                sockets.add(near);
                Thread.ofVirtual().start(() -> connect(near));
            } catch (IOException e) {
                return;
            }
        }
    }

    private void connect(Socket near) {
        awaitWhole();
        try {
            Socket far = new Socket(InetAddress.getLoopbackAddress(), targetPort);
            sockets.add(far);
            near.setTcpNoDelay(true);
            far.setTcpNoDelay(true);
            Thread.ofVirtual().start(() -> forward(near, far));
            forward(far, near);
        } catch (IOException e) {
            closeQuietly(near);
        }
    }

    private void forward(Socket from, Socket to) {
        byte[] buffer = new byte[1 << 16];
        try (InputStream input = from.getInputStream();
                OutputStream output = to.getOutputStream()) {
            for (int count = input.read(buffer); count >= 0; count = input.read(buffer)) {
                awaitWhole();
                output.write(buffer, 0, count);
            }
        } catch (IOException e) {
            // One end is gone; closing both below tells the other.
        } finally {
            closeQuietly(from);
            closeQuietly(to);
            sockets.remove(from);
            sockets.remove(to);
        }
    }

    private static void closeQuietly(Socket socket) {
        try {
            socket.close();
        } catch (IOException e) {
            // It was to be gone, and it is.
        }
    }
}
