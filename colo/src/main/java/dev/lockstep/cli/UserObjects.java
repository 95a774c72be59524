package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.throttle.Limits;
import dev.lockstep.block.filter.throttle.ThrottleGroup;
import dev.lockstep.block.filter.throttle.ThrottleOpener;
import dev.lockstep.block.open.Option.Text;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.open.Options;
import dev.lockstep.image.JsonOptions;
import dev.lockstep.image.KeyValues;
import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// What `--object TYPE,id=ID,...` defines, as QEMU's tools have it: `tls-creds-x509`,
/// `tls-creds-psk`, `authz-simple`, `authz-list`, `throttle-group` and `secret`.
final class UserObjects {
    /// No objects.
    static final UserObjects NONE = new UserObjects();

    private static final String TYPE = "qom-type";

    private final Map<String, TlsCredentials> credentials = new TreeMap<>();
    private final Map<String, TlsAuthorization> authorizations = new TreeMap<>();
    private final Map<String, ThrottleGroup> throttleGroups = new TreeMap<>();

    /// What a rule, or a list none of whose rules matches, says.
    private enum Policy {
        ALLOW,
        DENY
    }

    /// How a rule's pattern is read.
    private enum Format {
        EXACT,
        GLOB
    }

    /// @param policy what it says of the identities that it matches
    private record Rule(String match, Format format, Policy policy) {
        boolean matches(String identity) {
            return format == Format.EXACT
                    ? identity.equals(match)
                    : identity.matches(expression(match));
        }

        /// A shell's pattern as a regular expression: `*` is anything, `?` any one character.
        private static String expression(String glob) {
            StringBuilder expression = new StringBuilder("(?s)");
            glob.chars()
                    .forEach(
                            c ->
                                    expression.append(
                                            switch (c) {
                                                case '*' -> ".*";
                                                case '?' -> ".";
                                                default -> "\\x{%x}".formatted(c);
                                            }));
            return expression.toString();
        }
    }

    /// Reads the definitions of a command line.
    ///
    /// @throws UsageError if one is wrong
    static UserObjects parse(List<String> definitions) {
        UserObjects objects = new UserObjects();
        for (String definition : definitions) {
            try {
                objects.add(
                        definition.startsWith("{")
                                ? JsonOptions.parse(definition)
                                : KeyValues.parse(definition, TYPE));
            } catch (IllegalArgumentException | BlockException e) {
                throw new UsageError("--object: " + e.getMessage());
            }
        }
        return objects;
    }

    /// The TLS credentials of this name, or null.
    @Nullable TlsCredentials findCredentials(String id) {
        return credentials.get(id);
    }

    /// The throttle group of this name, or null.
    @Nullable ThrottleGroup findThrottleGroup(String id) {
        return throttleGroups.get(id);
    }

    /// The TLS credentials of this name.
    ///
    /// @throws UsageError if there are none
    TlsCredentials credentials(String id) {
        TlsCredentials found = findCredentials(id);
        if (found == null) {
            throw new UsageError(
                    "there are no TLS credentials '%s': add --object tls-creds-x509,id=%s,dir=..."
                            .formatted(id, id));
        }
        return found;
    }

    /// The authorization of this name.
    ///
    /// @throws UsageError if there is none
    TlsAuthorization authorization(String id) {
        TlsAuthorization found = authorizations.get(id);
        if (found == null) {
            throw new UsageError(
                    "there is no authorization '%s': add --object authz-simple,id=%s,identity=..."
                            .formatted(id, id));
        }
        return found;
    }

    private void add(Options tree) throws BlockException {
        String type = tree.find(TYPE) instanceof Text(String text) ? text : "";
        OptionReader options = new OptionReader("the object '%s'".formatted(type), tree);
        String _ = options.text(TYPE);
        String id = options.text("id");
        switch (type) {
            case "tls-creds-x509" -> credentials.put(id, x509(options));
            case "tls-creds-psk" -> credentials.put(id, psk(options));
            case "authz-simple" ->
                    authorizations.put(id, TlsAuthorization.only(options.text("identity")));
            case "authz-list" -> authorizations.put(id, list(options));
            case "throttle-group" -> throttleGroups.put(id, throttleGroup(options));
            case "secret" -> secret(options);
            default ->
                    throw options.invalid(
                            ("the type '%s' is not known; there are tls-creds-x509, tls-creds-psk,"
                                            + " authz-simple, authz-list, throttle-group and secret")
                                    .formatted(type));
        }
        options.finish();
    }

    /// QEMU's command line knows the limits by names that begin with `x-`; both are taken.
    private static ThrottleGroup throttleGroup(OptionReader options) throws BlockException {
        Limits limits =
                options.has("limits")
                        ? ThrottleOpener.limits(options.group("limits"), "")
                        : ThrottleOpener.limits(options, "x-");
        return new ThrottleGroup(limits);
    }

    private static TlsCredentials x509(OptionReader options) throws BlockException {
        Endpoint endpoint = options.choice("endpoint", Endpoint.class, Endpoint.CLIENT);
        boolean verify = options.truth("verify-peer", true);
        // Every certificate is checked when it is read.
        boolean _ = options.truth("sanity-check", true);
        return TlsCredentials.x509(Path.of(options.text("dir")), endpoint, verify);
    }

    private static TlsCredentials psk(OptionReader options) throws BlockException {
        Endpoint endpoint = options.choice("endpoint", Endpoint.class, Endpoint.CLIENT);
        String user = options.textOrNull("username");
        return TlsCredentials.psk(
                Path.of(options.text("dir")),
                endpoint,
                user == null ? TlsCredentials.PSK_USERNAME_DEFAULT : user);
    }

    private static TlsAuthorization list(OptionReader options) throws BlockException {
        Policy otherwise = options.choice("policy", Policy.class, Policy.DENY);
        List<Rule> rules = new ArrayList<>();
        OptionReader numbered = options.group("rules");
        while (numbered.has(Integer.toString(rules.size()))) {
            OptionReader rule = numbered.group(Integer.toString(rules.size()));
            rules.add(
                    new Rule(
                            rule.text("match"),
                            rule.choice("format", Format.class, Format.EXACT),
                            rule.choice("policy", Policy.class, Policy.DENY)));
        }
        return identity ->
                rules.stream()
                                .filter(rule -> rule.matches(identity))
                                .findFirst()
                                .map(Rule::policy)
                                .orElse(otherwise)
                        == Policy.ALLOW;
    }

    /// Nothing that is supported asks for a secret; a definition of one is checked and forgotten.
    private static void secret(OptionReader options) throws BlockException {
        for (String key : List.of("data", "file", "format", "keyid", "iv")) {
            String _ = options.textOrNull(key);
        }
    }
}
