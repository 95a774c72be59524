package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.Option;
import dev.lockstep.nbd.OptionReply;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.util.List;

/// A server that is asked what it has, on a connection that stays in the handshake until [#read].
/// Used by one thread at a time.
///
/// Every call takes at most [RemoteOptions#connectDeadline].
public final class RemoteServer implements AutoCloseable {
    /// The most exports that a listing may have.
    private static final int EXPORTS_MAX = 10_000;

    private final RemoteOptions options;
    private final Dialogue dialogue;
    private final HeaderStyle headers;
    private @Nullable NbdConnection used;

    private RemoteServer(RemoteOptions options, Dialogue dialogue, HeaderStyle headers) {
        this.options = options;
        this.dialogue = dialogue;
        this.headers = headers;
    }

    /// Connects; the export that the options name is not used.
    ///
    /// @throws BlockException if the server cannot be reached in time, or answers no questions
    public static RemoteServer connect(RemoteOptions options) throws BlockException {
        return Connecting.within(
                options,
                dialogue -> {
                    if (!dialogue.isFixed()) {
                        throw new BlockException(
                                Kind.UNSUPPORTED, "the server is too old to be asked what it has");
                    }
                    HeaderStyle headers = dialogue.agreeOnHeaders(options.headers());
                    return new RemoteServer(options, dialogue, headers);
                });
    }

    /// The newest style of headers that the server knows, no newer than [RemoteOptions#headers].
    public HeaderStyle headers() {
        return headers;
    }

    /// Whether the connection is encrypted.
    public boolean isEncrypted() {
        return dialogue.link().isEncrypted();
    }

    /// The names and descriptions of the exports that the server lists; it may have others.
    ///
    /// @throws BlockException if it lists none to us, with its reason
    public List<OptionReply.Server> exports() throws BlockException {
        List<OptionReply> replies =
                inTime(() -> dialogue.ask(new Option.ListExports(), EXPORTS_MAX));
        if (replies.getLast() instanceof OptionReply.Refusal refusal) {
            throw refusal.type() == NbdProtocol.REP_ERR_UNSUP
                    ? new BlockException(Kind.UNSUPPORTED, "the server does not list its exports")
                    : Dialogue.refused(refusal, "");
        }
        return replies.stream()
                .<OptionReply.Server>mapMulti(
                        (reply, sink) -> {
                            if (reply instanceof OptionReply.Server export) {
                                sink.accept(export);
                            }
                        })
                .toList();
    }

    /// What the server says about an export. The contexts are all that the export has; they have no
    /// numbers.
    ///
    /// @throws BlockException if there is no such export, or the server tells only who uses it
    public RemoteExport describe(String export) throws BlockException {
        return inTime(() -> Handshake.ask(dialogue, headers, export));
    }

    /// The names of the export's metadata contexts that match a query: a name, or a namespace with
    /// its colon for all of its contexts.
    public List<String> contexts(String export, List<String> queries) throws BlockException {
        return inTime(() -> Handshake.listContexts(dialogue, export, queries)).stream()
                .map(OptionReply.MetaContext::name)
                .toList();
    }

    /// Reads from an export, which ends the questions.
    ///
    /// @throws BlockException if there is no such export, or the server does not let us use it
    public void read(String export, long offset, ByteBuffer target) throws BlockException {
        NbdConnection connection =
                inTime(
                        () -> {
                            RemoteExport entered = Handshake.use(dialogue, headers, export);
                            return NbdConnection.over(options, dialogue, entered);
                        });
        used = connection;
        inTime(
                () -> {
                    connection
                            .start(NbdProtocol.CMD_READ, 0, offset, target.remaining(), target)
                            .await();
                    return connection;
                });
    }

    private <T> T inTime(Connecting.Step<T> question) throws BlockException {
        return Connecting.inTime(options, dialogue.link(), question);
    }

    /// Says goodbye.
    @Override
    public void close() {
        if (used != null) {
            used.close();
            return;
        }
        try {
            inTime(() -> dialogue.ask(new Option.Abort(), Dialogue.REPLIES_MAX));
        } catch (BlockException _) {
            // Some servers hang up without a word, which the protocol has come to allow.
        }
        dialogue.link().sayClosed();
        NbdConnection.closeQuietly(dialogue.link());
    }

    /// The server's address, for people.
    @Override
    public String toString() {
        return options.address().toString();
    }
}
