package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.RemoteDevice;
import dev.lockstep.nbd.client.RemoteExport;
import dev.lockstep.nbd.client.RemoteOptions;
import dev.lockstep.nbd.client.RemoteServer;
import dev.lockstep.nbd.client.StatusExtent;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/// `lockstep info`.
@Command(
        name = "info",
        description = {
            "Show what an NBD server and its exports are, with nbdinfo's options and output.",
            "",
            "--can, --is and --has print nothing: their exit status is 0 for yes, 2 for no, and 1 if"
                    + " nobody knows; --cannot, --isnt and --hasnt turn 0 and 2 round."
        },
        footer = {
            "",
            "Examples:",
            "  lockstep info nbd://server/disk",
            "  lockstep info --list --json nbd+unix:///?socket=/tmp/d.sock",
            "  lockstep info --map --totals nbd://server/disk",
            "  lockstep info --is read-only nbd://server/disk && echo 'no writing'",
            "  lockstep info --map [ nbdkit file disk.raw ]"
        })
final class InfoCommand implements Callable<Integer> {
    private static final int YES = 0;
    private static final int NO = 2;

    @Option(names = "--json", description = "Print JSON, for programs.")
    private boolean json;

    @Option(
            names = {"-L", "--list"},
            description = "Show all exports that the server lists, whatever the URI names.")
    private boolean list;

    @Option(names = "--size", description = "Show only the size in bytes.")
    private boolean size;

    @Option(names = "--uri", description = "Show only the export's URI.")
    private boolean uriOnly;

    @Option(
            names = "--map",
            arity = "0..1",
            paramLabel = "CONTEXT",
            fallbackValue = NbdProtocol.META_BASE_ALLOCATION,
            preprocessor = AttachedValue.class,
            description = "Show the extents of a metadata context. Default: base:allocation.")
    private @Nullable String map;

    @Option(
            names = {"--totals", "--total"},
            description = "With --map: show only how much there is of each.")
    private boolean totals;

    private @Nullable String question;

    /// What is answered with yes.
    private boolean expected;

    @Option(
            names = "--content",
            negatable = true,
            description =
                    "Look at the first bytes for an image format. Default: unless with --list.")
    private @Nullable Boolean content;

    @Parameters(
            paramLabel = "URI",
            description =
                    "The export, as an NBD URI; or [ COMMAND ARGUMENT... ] to start a server, which"
                            + " is ended afterwards.")
    @SuppressWarnings("NullAway.Init")
    private ServerPlace place;

    /// The output is plain; scripts may say so or not.
    @Option(
            names = {"--color", "--colour", "--no-color", "--no-colour"},
            description = "Accepted for nbdinfo's sake: the output is plain.")
    void color(boolean accepted) {}

    /// More spellings of the same.
    @Option(
            names = {"--colors", "--colours", "--no-colors", "--no-colours"},
            hidden = true,
            description = "Accepted.")
    void colors(boolean accepted) {}

    /// Asks whether the server has something.
    @Option(
            names = {"--can", "--is", "--has", "--have"},
            paramLabel = "WHAT",
            description =
                    "Answer: cache, connect, df, fast-zero, flush, fua, multi-conn, read, trim,"
                            + " write, zero, structured-reply, extended-headers,"
                            + " block-status-payload, read-only, rotational or tls.")
    void ask(String what) {
        askFor(what, true);
    }

    /// Asks whether the server lacks something.
    @Option(
            names = {"--cannot", "--isnt", "--hasnt", "--havent"},
            paramLabel = "WHAT",
            description = "Answer the contrary.")
    void askContrary(String what) {
        askFor(what, false);
    }

    /// More spellings of the same.
    @Option(
            names = {
                "--can-not",
                "--cant",
                "--is-not",
                "--isnot",
                "--has-not",
                "--hasnot",
                "--have-not",
                "--havenot"
            },
            hidden = true,
            description = "Answer the contrary.")
    void askContraryOtherwise(String what) {
        askFor(what, false);
    }

    private void askFor(String what, boolean yes) {
        question = what;
        expected = yes;
    }

    @Override
    public Integer call() throws IOException {
        int modes =
                (list ? 1 : 0)
                        + (size ? 1 : 0)
                        + (uriOnly ? 1 : 0)
                        + (map != null ? 1 : 0)
                        + (question == null ? 0 : 1);
        if (modes > 1) {
            throw new UsageError("give one of --list, --size, --uri, --map, --can and --is");
        }
        if (totals && map == null) {
            throw new UsageError("--totals sums up a map: say --map --totals");
        }
        return place.use(this::call);
    }

    private int call(NbdUri uri) throws IOException {
        if (question != null) {
            return answer(uri, question);
        }
        if (map != null) {
            map(uri, map);
        } else {
            System.out.print(report(uri));
        }
        return YES;
    }

    private String report(NbdUri uri) throws IOException {
        InfoPrinter printer = new InfoPrinter(json, place instanceof ServerPlace.At);
        try (RemoteServer server = RemoteServer.connect(options(uri))) {
            if (size || uriOnly) {
                long bytes = server.describe(uri.export()).size();
                return size ? printer.size(bytes) : printer.uri(uri);
            }
            return printer.exports(
                    server.headers(),
                    server.isEncrypted(),
                    list ? listed(server, uri) : List.of(described(server, uri)));
        }
    }

    private ExportFacts described(RemoteServer server, NbdUri uri) throws IOException {
        ExportFacts facts = facts(uri, server.describe(uri.export()));
        return Boolean.FALSE.equals(content) ? facts : withContent(facts, server);
    }

    private List<ExportFacts> listed(RemoteServer server, NbdUri uri) throws IOException {
        List<ExportFacts> exports = new ArrayList<>();
        for (OptionReply.Server listed : server.exports()) {
            ExportFacts facts = listed(server, uri, listed);
            exports.add(Boolean.TRUE.equals(content) ? withContent(facts) : facts);
        }
        return exports;
    }

    /// An export that only others may use is still listed.
    private static ExportFacts listed(RemoteServer server, NbdUri uri, OptionReply.Server listed) {
        NbdUri place = new NbdUri(uri.address(), listed.name(), uri.tls());
        try {
            return facts(place, server.describe(listed.name()));
        } catch (BlockException _) {
            return new ExportFacts(place, listed.name(), listed.description(), null, null);
        }
    }

    private static ExportFacts facts(NbdUri place, RemoteExport export) {
        return new ExportFacts(place, export.name(), export.description(), export, null);
    }

    /// Looks at the first bytes, on a connection of its own.
    private static ExportFacts withContent(ExportFacts facts) {
        try (RemoteServer server = RemoteServer.connect(options(facts.uri()))) {
            return withContent(facts, server);
        } catch (BlockException _) {
            return facts;
        }
    }

    /// Looks at the first bytes, which ends the questions to this server: it may be one that lets
    /// only one connection in. If they cannot be read, all else is still told.
    private static ExportFacts withContent(ExportFacts facts, RemoteServer server) {
        RemoteExport export = facts.export();
        if (export == null) {
            return facts;
        }
        try {
            ByteBuffer head =
                    ByteBuffer.allocate((int) Math.min(Content.PROBE_BYTES, export.size()));
            if (head.hasRemaining()) {
                server.read(facts.uri().export(), 0, head);
            }
            return facts.withContent(Content.of(head.array()));
        } catch (BlockException _) {
            return facts;
        }
    }

    private int answer(NbdUri uri, String asked) throws IOException {
        try (RemoteServer server = RemoteServer.connect(options(uri))) {
            RemoteExport export = server.describe(uri.export());
            Boolean answer = ExportFacts.answer(asked, export, server.isEncrypted());
            if (answer == null) {
                throw new UsageError("--can and --is know nothing of '%s'".formatted(asked));
            }
            return answer == expected ? YES : NO;
        }
    }

    /// Extents are printed as they come: a server may tell of more than we could hold.
    private void map(NbdUri uri, String context) throws IOException {
        MapPrinter printer = new MapPrinter(System.out, context, json, totals);
        try (RemoteDevice device =
                RemoteDevice.open(
                        context.equals(NbdProtocol.META_BASE_ALLOCATION)
                                ? options(uri)
                                : options(uri).withContexts(List.of(context)))) {
            if (device.export().contexts().stream().noneMatch(c -> c.name().equals(context))) {
                throw new IOException(
                        "%s: the server has no metadata context '%s' for this export"
                                .formatted(uri, context));
            }
            printer.begin();
            for (long at = 0; at < device.size(); ) {
                for (StatusExtent extent : device.status(context, at, device.size() - at)) {
                    printer.add(extent);
                    at = extent.end();
                }
                printer.flush();
            }
            printer.end();
        }
    }

    private static RemoteOptions options(NbdUri place) {
        return RemoteOptions.of(place);
    }
}
