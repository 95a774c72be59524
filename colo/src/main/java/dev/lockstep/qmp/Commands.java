package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/// The commands of a server: what they are called, what they take, what they do. Everything about a
/// request that can be checked without running it is checked here.
final class Commands {
    private static final Set<String> REQUEST_MEMBERS = Set.of("execute", "arguments", "id");

    private record Command(String name, List<Parameter> parameters, CommandHandler handler) {}

    /// A well-formed request for a command that may or may not exist.
    record Request(String command, ObjectNode arguments) {}

    private final Map<String, Command> byName = new ConcurrentHashMap<>();

    void register(String name, List<Parameter> parameters, CommandHandler handler) {
        Command command = new Command(name, List.copyOf(parameters), handler);
        if (byName.putIfAbsent(name, command) != null) {
            throw new IllegalArgumentException(name + " is registered already");
        }
    }

    /// All names, sorted.
    List<String> names() {
        return new ArrayList<>(new TreeSet<>(byName.keySet()));
    }

    /// The request in a document.
    static Request request(JsonNode document) throws QmpException {
        if (!(document instanceof ObjectNode message)) {
            throw new QmpException("QMP input must be a JSON object");
        }
        for (Map.Entry<String, JsonNode> member : message.properties()) {
            if (!REQUEST_MEMBERS.contains(member.getKey())) {
                throw new QmpException(
                        "QMP input member '%s' is unexpected".formatted(member.getKey()));
            }
        }
        JsonNode execute = message.get("execute");
        if (execute == null) {
            throw new QmpException("QMP input lacks member 'execute'");
        }
        if (!execute.isTextual()) {
            throw new QmpException("QMP input member 'execute' must be a string");
        }
        JsonNode arguments = message.get("arguments");
        if (arguments == null) {
            return new Request(execute.textValue(), Json.object());
        }
        if (!(arguments instanceof ObjectNode object)) {
            throw new QmpException("QMP input member 'arguments' must be an object");
        }
        return new Request(execute.textValue(), object);
    }

    /// Runs a command after checking its arguments.
    JsonNode run(Request request, Caller caller) throws IOException, InterruptedException {
        Command command = byName.get(request.command());
        if (command == null) {
            throw notFound("The command %s has not been found".formatted(request.command()));
        }
        check(command.parameters(), request.arguments());
        return command.handler().run(new Arguments(request.arguments()), caller);
    }

    static QmpException notFound(String description) {
        return new QmpException(ErrorClass.COMMAND_NOT_FOUND, description);
    }

    static void check(List<Parameter> parameters, ObjectNode arguments) throws QmpException {
        for (Parameter parameter : parameters) {
            JsonNode value = arguments.get(parameter.name());
            if (value != null) {
                parameter.check(value);
            } else if (!parameter.optional()) {
                throw new QmpException("Parameter '%s' is missing".formatted(parameter.name()));
            }
        }
        for (Map.Entry<String, JsonNode> argument : arguments.properties()) {
            if (find(parameters, argument.getKey()) == null) {
                throw new QmpException("Parameter '%s' is unexpected".formatted(argument.getKey()));
            }
        }
    }

    private static @Nullable Parameter find(List<Parameter> parameters, String name) {
        for (Parameter parameter : parameters) {
            if (parameter.name().equals(name)) {
                return parameter;
            }
        }
        return null;
    }
}
