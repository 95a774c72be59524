package dev.lockstep.nbd.server;

import dev.lockstep.block.filter.fault.Trigger;

import java.time.Duration;

/// Something that a server does wrong on purpose, so that people who write clients can test what
/// few servers ever do to them: `new ServerFault(Trigger.ALL.times(1), new Effect.Drop())`, or in
/// words `ServerFault.parse("write@1M+64k,nth=3,error=EIO")` (see [FaultSyntax#HELP]).
///
/// A range is counted in requests of the client, whatever the server makes of them; a CACHE counts
/// as a read.
///
/// @param when which requests it is for; counted over all connections
/// @param delay how long each waits first
/// @param effect what happens to it then
/// @param late whether the request is carried out before an error or a drop
public record ServerFault(Trigger when, Duration delay, Effect effect, boolean late) {
    /// What happens to a request.
    public sealed interface Effect {}

    /// It goes on; its delay is all.
    public record Nothing() implements Effect {}

    /// It is answered with an error of `NbdProtocol`.
    public record Refuse(int error) implements Effect {}

    /// The server hangs up instead of answering.
    public record Drop() implements Effect {}

    /// It is carried out, and of its reply only the first bytes are sent before the server hangs
    /// up.
    public record Cut(int bytes) implements Effect {}

    /// It is carried out, and one byte of its reply is inverted. 0 is the first of the magic; in a
    /// simple reply the error begins at 4, the cookie at 8 and the data at 16.
    public record Corrupt(int position) implements Effect {}

    /// Without delay, and before the request is carried out.
    public ServerFault(Trigger when, Effect effect) {
        this(when, Duration.ZERO, effect, false);
    }

    /// Reads `OPERATIONS@OFFSET+LENGTH,SETTING,...`, as the command line has it.
    ///
    /// @throws IllegalArgumentException if it is none, with a sentence that says why
    public static ServerFault parse(String text) {
        return FaultSyntax.parse(text);
    }
}
