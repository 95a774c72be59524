package dev.lockstep.colo.secondary;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/// What a side has opened, to be closed in the opposite order.
final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();

    <T extends AutoCloseable> T add(T resource) {
        opened.push(resource);
        return resource;
    }

    /// Closes everything, whatever fails on the way.
    ///
    /// @throws IOException the first failure
    @Override
    public void close() throws IOException {
        IOException first = null;
        while (!opened.isEmpty()) {
            try {
                opened.pop().close();
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
