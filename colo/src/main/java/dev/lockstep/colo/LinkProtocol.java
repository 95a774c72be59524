package dev.lockstep.colo;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Identity;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Standing;
import dev.lockstep.colo.machine.SyncMode;
import dev.lockstep.qmp.Arguments;
import dev.lockstep.qmp.Caller;
import dev.lockstep.qmp.Json;
import dev.lockstep.qmp.Parameter;
import dev.lockstep.qmp.QmpException;
import dev.lockstep.qmp.QmpServer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// How the machine's messages travel: each request is one command of the secondary's monitor, each
/// reply its return value. Both directions are here, so that the two sides cannot disagree.
///
/// | command | arguments | returns |
/// |---|---|---|
/// | `colo-query-identity` | | `incarnation`, `yields`, `record` if there is one, the pair's
/// `name`, `size` in bytes |
/// | `colo-join` | `session`, `incarnation`, `sync`, `force`, `identity`, `before` if there is one
/// | `session` |
/// | `colo-checkpoint` | `session`, `generation`, `epoch` | `epoch` |
/// | `colo-peer-stale` | `identity` | |
/// | `colo-leave` | `session`, `generation`, `epoch` | `epoch` |
/// | `colo-tick` | `session` | |
public final class LinkProtocol {
    /// The heartbeat. It is no message of the machine: any sign of life is one to it.
    public static final String TICK = "colo-tick";

    private static final String QUERY = "colo-query-identity";
    private static final String JOIN = "colo-join";
    private static final String CHECKPOINT = "colo-checkpoint";
    private static final String PEER_STALE = "colo-peer-stale";
    private static final String LEAVE = "colo-leave";

    private static final String SESSION = "session";
    private static final String INCARNATION = "incarnation";
    private static final String IDENTITY = "identity";
    private static final String GENERATION = "generation";
    private static final String EPOCH = "epoch";
    private static final String NAME = "name";
    private static final String SIZE = "size";

    private LinkProtocol() {}

    /// A request as its command.
    public record Command(String name, ObjectNode arguments) {}

    /// What both sides of a pair must have in common.
    ///
    /// @param name the pair's name
    /// @param sizeBytes the length of its disk
    public record Common(String name, long sizeBytes) {}

    /// The side that is asked.
    public interface Secondary {
        /// Asks the machine, and waits for the reply.
        ///
        /// @throws IOException if it refuses, with the reason
        Message.Reply call(Message.Request request) throws IOException, InterruptedException;

        /// The primary of this session was heard.
        ///
        /// @param caller the connection of its heartbeat, whose end is the end of the primary or of
        ///     the link to it
        void heard(Nonce session, Caller caller);

        /// What its primary must have too.
        Common common();
    }

    /// Offers all of this to primaries.
    public static void register(QmpServer server, Secondary secondary) {
        server.register(
                QUERY,
                List.of(),
                (arguments, caller) -> {
                    Common ours = secondary.common();
                    return encode(secondary.call(new Message.Query()))
                            .put(NAME, ours.name())
                            .put(SIZE, ours.sizeBytes());
                });
        List<Parameter> driven =
                List.of(
                        Parameter.required(SESSION, Parameter.Type.STRING),
                        Parameter.required(GENERATION, Parameter.Type.STRING),
                        Parameter.required(EPOCH, Parameter.Type.INTEGER));
        offer(
                server,
                secondary,
                JOIN,
                List.of(
                        Parameter.required(SESSION, Parameter.Type.STRING),
                        Parameter.required(INCARNATION, Parameter.Type.STRING),
                        Parameter.required("sync", Parameter.Type.STRING),
                        Parameter.required("force", Parameter.Type.BOOLEAN),
                        Parameter.required(IDENTITY, Parameter.Type.OBJECT),
                        Parameter.optional("before", Parameter.Type.OBJECT)));
        offer(server, secondary, CHECKPOINT, driven);
        offer(
                server,
                secondary,
                PEER_STALE,
                List.of(Parameter.required(IDENTITY, Parameter.Type.OBJECT)));
        offer(server, secondary, LEAVE, driven);
        server.register(
                TICK,
                List.of(Parameter.required(SESSION, Parameter.Type.STRING)),
                (arguments, caller) -> {
                    secondary.heard(nonce(arguments.json(), SESSION), caller);
                    return Json.object();
                });
    }

    private static void offer(
            QmpServer server, Secondary secondary, String name, List<Parameter> parameters) {
        server.register(
                name,
                parameters,
                (arguments, caller) -> encode(secondary.call(decode(name, arguments))));
    }

    /// What the primary sends for a request.
    public static Command encode(Message.Request request) {
        return switch (request) {
            case Message.Query() -> new Command(QUERY, Json.object());
            case Message.Join join -> new Command(JOIN, encode(join));
            case Message.Checkpoint(Nonce session, Nonce generation, long epoch) ->
                    new Command(CHECKPOINT, driven(session, generation, epoch));
            case Message.PeerStale(Identity identity) -> {
                ObjectNode arguments = Json.object();
                arguments.set(IDENTITY, encode(identity));
                yield new Command(PEER_STALE, arguments);
            }
            case Message.Leave(Nonce session, Nonce generation, long epoch) ->
                    new Command(LEAVE, driven(session, generation, epoch));
        };
    }

    /// The heartbeat's argument.
    public static ObjectNode tick(Nonce session) {
        return Json.object().put(SESSION, session.toString());
    }

    /// What the primary makes of the returned value.
    ///
    /// @throws IOException if it is not what the protocol says
    public static Message.Reply decodeReply(Message.Request request, JsonNode value)
            throws IOException {
        return switch (request) {
            case Message.Query() ->
                    new Message.Known(
                            optionalRecord(value.get("record")),
                            nonce(value, INCARNATION),
                            bool(value, "yields"));
            case Message.Join _ -> new Message.Joined(nonce(value, SESSION));
            case Message.Checkpoint _ -> new Message.Checkpointed(integer(value, EPOCH));
            case Message.PeerStale _ -> new Message.Noted();
            case Message.Leave _ -> new Message.Left(integer(value, EPOCH));
        };
    }

    /// What the secondary has, from the value that `colo-query-identity` returned.
    public static Common common(JsonNode known) throws IOException {
        return new Common(member(known, NAME).asText(), integer(known, SIZE));
    }

    static ObjectNode encode(Message.Reply reply) {
        return switch (reply) {
            case Message.Known(
                            Optional<DurableRecord> record,
                            Nonce incarnation,
                            boolean yields) -> {
                ObjectNode value = Json.object();
                value.put(INCARNATION, incarnation.toString()).put("yields", yields);
                record.ifPresent(known -> value.set("record", encode(known)));
                yield value;
            }
            case Message.Joined(Nonce session) -> Json.object().put(SESSION, session.toString());
            case Message.Checkpointed(long epoch) -> Json.object().put(EPOCH, epoch);
            case Message.Noted() -> Json.object();
            case Message.Left(long epoch) -> Json.object().put(EPOCH, epoch);
        };
    }

    static Message.Request decode(String command, Arguments arguments) throws IOException {
        ObjectNode json = arguments.json();
        return switch (command) {
            case JOIN ->
                    new Message.Join(
                            nonce(json, SESSION),
                            nonce(json, INCARNATION),
                            optionalRecord(json.get("before")),
                            constant(SyncMode.class, json, "sync"),
                            bool(json, "force"),
                            identity(member(json, IDENTITY)));
            case CHECKPOINT ->
                    new Message.Checkpoint(
                            nonce(json, SESSION), nonce(json, GENERATION), integer(json, EPOCH));
            case PEER_STALE -> new Message.PeerStale(identity(member(json, IDENTITY)));
            case LEAVE ->
                    new Message.Leave(
                            nonce(json, SESSION), nonce(json, GENERATION), integer(json, EPOCH));
            default -> throw new IllegalArgumentException(command + " is no message");
        };
    }

    private static ObjectNode encode(Message.Join join) {
        ObjectNode arguments = Json.object();
        arguments
                .put(SESSION, join.session().toString())
                .put(INCARNATION, join.incarnation().toString())
                .put("sync", label(join.sync()))
                .put("force", join.force());
        arguments.set(IDENTITY, encode(join.identity()));
        join.before().ifPresent(record -> arguments.set("before", encode(record)));
        return arguments;
    }

    private static ObjectNode driven(Nonce session, Nonce generation, long epoch) {
        return Json.object()
                .put(SESSION, session.toString())
                .put(GENERATION, generation.toString())
                .put(EPOCH, epoch);
    }

    private static ObjectNode encode(Identity identity) {
        ObjectNode json = Json.object();
        json.put("pair", identity.pair().toString());
        json.put(GENERATION, identity.generation().toString());
        ArrayNode ancestors = json.putArray("ancestors");
        identity.ancestors().forEach(ancestor -> ancestors.add(ancestor.toString()));
        return json.put(EPOCH, identity.epoch());
    }

    private static ObjectNode encode(DurableRecord record) {
        ObjectNode json = Json.object();
        json.put("standing", label(record.standing()));
        json.set(IDENTITY, encode(record.identity()));
        return json.put("open", record.open()).put("volatile-buffers", record.volatileBuffers());
    }

    private static Optional<DurableRecord> optionalRecord(@Nullable JsonNode json)
            throws IOException {
        if (json == null) {
            return Optional.empty();
        }
        return Optional.of(
                new DurableRecord(
                        constant(Standing.class, json, "standing"),
                        identity(member(json, IDENTITY)),
                        bool(json, "open"),
                        bool(json, "volatile-buffers")));
    }

    private static Identity identity(JsonNode json) throws IOException {
        List<Nonce> ancestors = new ArrayList<>();
        for (JsonNode ancestor : member(json, "ancestors")) {
            ancestors.add(nonce(ancestor.asText()));
        }
        long epoch = integer(json, EPOCH);
        if (epoch < 0 || ancestors.size() > Identity.ANCESTORS_MAX) {
            throw new QmpException("this identity is impossible: " + json);
        }
        return new Identity(nonce(json, "pair"), nonce(json, GENERATION), ancestors, epoch);
    }

    private static String label(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static <E extends Enum<E>> E constant(Class<E> type, JsonNode json, String name)
            throws IOException {
        String text = member(json, name).asText();
        for (E constant : type.getEnumConstants()) {
            if (label(constant).equals(text)) {
                return constant;
            }
        }
        throw new QmpException("'%s' is no value of '%s'".formatted(text, name));
    }

    private static Nonce nonce(JsonNode json, String name) throws IOException {
        return nonce(member(json, name).asText());
    }

    private static Nonce nonce(String text) throws IOException {
        try {
            return Nonce.parse(text);
        } catch (IllegalArgumentException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    private static boolean bool(JsonNode json, String name) throws IOException {
        JsonNode value = member(json, name);
        if (!value.isBoolean()) {
            throw new QmpException("'%s' must be true or false".formatted(name));
        }
        return value.booleanValue();
    }

    private static long integer(JsonNode json, String name) throws IOException {
        JsonNode value = member(json, name);
        if (!value.isIntegralNumber() || !value.canConvertToLong()) {
            throw new QmpException("'%s' must be an integer".formatted(name));
        }
        return value.longValue();
    }

    private static JsonNode member(JsonNode json, String name) throws IOException {
        JsonNode value = json.get(name);
        if (value == null) {
            throw new QmpException("'%s' is missing".formatted(name));
        }
        return value;
    }
}
