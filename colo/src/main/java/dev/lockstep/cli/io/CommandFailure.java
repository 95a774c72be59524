package dev.lockstep.cli.io;

/// A command failed. The message is all that is printed.
final class CommandFailure extends Exception {
    private static final long serialVersionUID = 1L;

    /// Where the message goes.
    enum To {
        /// What is wrong with a command, or what became of a request.
        OUTPUT,
        /// What is wrong with the session.
        ERRORS,
        /// Nowhere: everything was said.
        NOBODY
    }

    private final To to;

    private CommandFailure(To to, String message) {
        super(message);
        this.to = to;
    }

    static CommandFailure said(String message) {
        return new CommandFailure(To.OUTPUT, message);
    }

    static CommandFailure error(String message) {
        return new CommandFailure(To.ERRORS, message);
    }

    /// A failure that was told already.
    static CommandFailure told() {
        return new CommandFailure(To.NOBODY, "");
    }

    To to() {
        return to;
    }
}
