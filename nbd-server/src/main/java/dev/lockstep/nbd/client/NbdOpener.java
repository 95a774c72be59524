package dev.lockstep.nbd.client;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.NodeOptions;
import dev.lockstep.block.open.Opener;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.tls.ClientTls;
import dev.lockstep.nbd.tls.TlsCredentials;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Function;

/// The driver `nbd`: an export of a server, with the options of QEMU's.
///
///     server.type             inet or unix; may be left out
///     server.host, .port      where an inet server listens (port 10809 unless given)
///     server.path             where a unix server listens
///     export                  its name; empty unless given
///     tls-creds               the name of credentials that the program knows: TLS or nothing
///     tls-hostname            what the server's certificate is made out to
///     open-timeout            seconds to go on trying to connect at first
///     reconnect-delay         seconds for which requests wait for a lost connection
///     connections             how many to open to a server that allows several: ours alone
///     uri                     in place of server, export and tls-: ours alone
///
/// `host`, `port` and `path` without `server.` are understood too.
///
/// @param credentials finds TLS credentials by name, or null
public record NbdOpener(Function<String, @Nullable TlsCredentials> credentials) implements Opener {
    private static final int PORT_MAX = 65535;

    /// A day is as good as forever.
    private static final long SECONDS_MAX = 86_400;

    private enum Type {
        INET,
        UNIX
    }

    @Override
    public Opening read(NodeOptions options) throws BlockException {
        RemoteOptions remote =
                (options.has("uri") ? byUri(options) : byServer(options))
                        .withConnections(
                                (int)
                                        options.number(
                                                "connections", 1, RemoteOptions.CONNECTIONS_MAX, 1))
                        .withOpenTimeout(seconds(options, "open-timeout"))
                        .withReconnectDelay(seconds(options, "reconnect-delay"));
        return () -> RemoteDevice.open(remote);
    }

    private static RemoteOptions byUri(NodeOptions options) throws BlockException {
        try {
            return RemoteOptions.of(NbdUri.parse(options.text("uri")));
        } catch (IllegalArgumentException e) {
            throw options.invalid(String.valueOf(e.getMessage()));
        }
    }

    private RemoteOptions byServer(NodeOptions options) throws BlockException {
        OptionReader server = options.has("server") ? options.group("server") : options;
        String export = options.textOrNull("export");
        String id = options.textOrNull("tls-creds");
        String hostname = options.textOrNull("tls-hostname");
        try {
            RemoteOptions remote =
                    RemoteOptions.of(new NbdUri(address(server), export == null ? "" : export));
            return id == null ? remote : remote.withTls(tls(options, id).withHostname(hostname));
        } catch (IllegalArgumentException e) {
            throw options.invalid(String.valueOf(e.getMessage()));
        }
    }

    private ClientTls tls(NodeOptions options, String id) throws BlockException {
        TlsCredentials found = credentials.apply(id);
        if (found == null) {
            throw options.invalid("there are no TLS credentials '%s'".formatted(id));
        }
        return ClientTls.required(found);
    }

    private static Address address(OptionReader server) throws BlockException {
        Type type = server.choice("type", Type.class, server.has("path") ? Type.UNIX : Type.INET);
        return switch (type) {
            case UNIX -> new Address.Unix(Path.of(server.text("path")));
            case INET ->
                    new Address.Tcp(
                            server.text("host"),
                            (int) server.number("port", 1, PORT_MAX, NbdProtocol.DEFAULT_PORT));
        };
    }

    private static Duration seconds(NodeOptions options, String key) throws BlockException {
        return Duration.ofSeconds(options.number(key, 0, SECONDS_MAX, 0));
    }
}
