package dev.lockstep.cli;

/// The command line asks for something that cannot be. The message is one sentence without a full
/// stop; where to read more is added to it.
final class UsageError extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UsageError(String message) {
        super(message);
    }
}
