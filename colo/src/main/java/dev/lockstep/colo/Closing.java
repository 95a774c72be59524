package dev.lockstep.colo;

import java.io.IOException;
import java.util.Deque;
import java.util.concurrent.ConcurrentLinkedDeque;

/// What a side has opened, to be closed in the opposite order, each thing once.
public final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> opened = new ConcurrentLinkedDeque<>();

    /// To be closed before everything that was added until now.
    public <T extends AutoCloseable> T add(T resource) {
        opened.push(resource);
        return resource;
    }

    /// Closes everything, whatever fails on the way.
    ///
    /// @throws IOException the first failure
    @Override
    public void close() throws IOException {
        IOException first = null;
        for (AutoCloseable next = opened.poll(); next != null; next = opened.poll()) {
            try {
                next.close();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (Exception e) {
                if (first == null) {
                    first = new IOException(String.valueOf(e.getMessage()), e);
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
