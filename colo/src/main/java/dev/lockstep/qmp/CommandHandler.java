package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;

/// What a command does. It may block for as long as it takes: only the connection that asked waits.
@FunctionalInterface
public interface CommandHandler {
    /// Runs the command.
    ///
    /// @param caller the connection that asked
    /// @return the value of the reply's `return` member; [Json#object] where there is nothing to
    ///     say
    /// @throws QmpException for an error of a certain class
    /// @throws IOException for any other: its message becomes a `GenericError`
    /// @throws InterruptedException when the server closes meanwhile
    JsonNode run(Arguments arguments, Caller caller) throws IOException, InterruptedException;
}
