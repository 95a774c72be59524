package dev.lockstep.image;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.filter.throttle.Limits;
import dev.lockstep.block.filter.throttle.ThrottleGroup;
import dev.lockstep.block.filter.throttle.ThrottleOpener;
import dev.lockstep.block.open.Option.Text;
import dev.lockstep.block.open.OptionReader;
import dev.lockstep.block.open.Options;
import dev.lockstep.nbd.tls.ReloadedFiles;
import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsAuthorization.Rule;
import dev.lockstep.nbd.tls.TlsCredentials;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// What `--object TYPE,id=ID,...` defines, as QEMU's tools have it: `tls-creds-x509`,
/// `tls-creds-psk`, `authz-simple`, `authz-list`, `authz-list-file`, `throttle-group` and `secret`.
public final class UserObjects {
    /// No objects.
    public static final UserObjects NONE = new UserObjects();

    private static final String TYPE = "qom-type";

    private final Map<String, TlsCredentials> credentials = new TreeMap<>();
    private final Map<String, TlsAuthorization> authorizations = new TreeMap<>();
    private final Map<String, ThrottleGroup> throttleGroups = new TreeMap<>();
    private final Map<String, Secret> secrets = new TreeMap<>();
    private final Set<String> ids = new HashSet<>();

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

    /// The priorities of GnuTLS that mean no more than what is spoken here anyway.
    private static final Set<String> USUAL_PRIORITIES = Set.of("NORMAL", "SECURE128", "@SYSTEM");

    /// Reads the definitions of a command line.
    ///
    /// @throws IllegalArgumentException if one is wrong
    public static UserObjects parse(List<String> definitions) {
        UserObjects objects = new UserObjects();
        for (String definition : definitions) {
            try {
                objects.add(
                        definition.startsWith("{")
                                ? JsonOptions.parse(definition)
                                : KeyValues.parse(definition, TYPE));
            } catch (IllegalArgumentException | BlockException e) {
                throw new IllegalArgumentException("--object: " + e.getMessage());
            }
        }
        return objects;
    }

    /// The TLS credentials of this name, or null.
    public @Nullable TlsCredentials findCredentials(String id) {
        return credentials.get(id);
    }

    /// The throttle group of this name, or null.
    public @Nullable ThrottleGroup findThrottleGroup(String id) {
        return throttleGroups.get(id);
    }

    /// The TLS credentials of this name.
    ///
    /// @throws IllegalArgumentException if there are none
    public TlsCredentials credentials(String id) {
        TlsCredentials found = findCredentials(id);
        if (found == null) {
            throw new IllegalArgumentException(
                    "there are no TLS credentials '%s': add --object tls-creds-x509,id=%s,dir=..."
                            .formatted(id, id));
        }
        return found;
    }

    /// The authorization of this name.
    ///
    /// @throws IllegalArgumentException if there is none
    public TlsAuthorization authorization(String id) {
        TlsAuthorization found = authorizations.get(id);
        if (found == null) {
            throw new IllegalArgumentException(
                    "there is no authorization '%s': add --object authz-simple,id=%s,identity=..."
                            .formatted(id, id));
        }
        return found;
    }

    /// The secret of this name.
    ///
    /// @throws IllegalArgumentException if there is none
    Secret secret(String id) {
        Secret found = secrets.get(id);
        if (found == null) {
            throw new IllegalArgumentException(
                    "there is no secret '%s': put --object secret,id=%s,file=... before"
                            .formatted(id, id));
        }
        return found;
    }

    private void add(Options tree) throws BlockException {
        String type = tree.find(TYPE) instanceof Text(String text) ? text : "";
        OptionReader options = new OptionReader("the object '%s'".formatted(type), tree);
        String _ = options.text(TYPE);
        String id = options.text("id");
        if (!ids.add(id)) {
            throw options.invalid("there is another object '%s'".formatted(id));
        }
        switch (type) {
            case "tls-creds-x509" -> credentials.put(id, x509(options));
            case "tls-creds-psk" -> credentials.put(id, psk(options));
            case "authz-simple" ->
                    authorizations.put(id, TlsAuthorization.only(options.text("identity")));
            case "authz-list" -> authorizations.put(id, list(options));
            case "throttle-group" -> throttleGroups.put(id, throttleGroup(options));
            case "authz-list-file" -> authorizations.put(id, listFile(options));
            case "secret" -> secrets.put(id, Secret.read(options, this::secret));
            default ->
                    throw options.invalid(
                            ("the type '%s' is not known; there are tls-creds-x509, tls-creds-psk,"
                                            + " authz-simple, authz-list, authz-list-file,"
                                            + " throttle-group and secret")
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

    private TlsCredentials x509(OptionReader options) throws BlockException {
        Endpoint endpoint = options.choice("endpoint", Endpoint.class, Endpoint.CLIENT);
        boolean verify = options.truth("verify-peer", true);
        // Every certificate is checked when it is read.
        boolean _ = options.truth("sanity-check", true);
        checkPriority(options);
        String password = options.textOrNull("passwordid");
        return TlsCredentials.x509(
                Path.of(options.text("dir")),
                endpoint,
                verify,
                password == null ? null : secret(password).text().toCharArray());
    }

    private static TlsCredentials psk(OptionReader options) throws BlockException {
        Endpoint endpoint = options.choice("endpoint", Endpoint.class, Endpoint.CLIENT);
        String user = options.textOrNull("username");
        checkPriority(options);
        return TlsCredentials.psk(
                Path.of(options.text("dir")),
                endpoint,
                user == null ? TlsCredentials.PSK_USERNAME_DEFAULT : user);
    }

    private static TlsAuthorization list(OptionReader options) throws BlockException {
        Policy otherwise = options.choice("policy", Policy.class, Policy.DENY);
        List<Rule> rules = new ArrayList<>();
        for (OptionReader rule : options.groups("rules")) {
            rules.add(
                    new Rule(
                            rule.text("match"),
                            rule.choice("policy", Policy.class, Policy.DENY) == Policy.ALLOW,
                            rule.choice("format", Format.class, Format.EXACT) == Format.GLOB));
        }
        return TlsAuthorization.list(rules, otherwise == Policy.ALLOW);
    }

    /// The same from a JSON file, whose changes count for the next client.
    private static TlsAuthorization listFile(OptionReader options) throws BlockException {
        Path file = Path.of(options.text("filename"));
        boolean refresh = options.truth("refresh", true);
        ReloadedFiles<TlsAuthorization> list =
                new ReloadedFiles<>(List.of(file), () -> readList(file));
        try {
            TlsAuthorization first = list.current();
            return refresh ? identity -> current(list).allows(identity) : first;
        } catch (IOException e) {
            throw options.invalid(String.valueOf(e.getMessage()));
        }
    }

    private static TlsAuthorization current(ReloadedFiles<TlsAuthorization> list) {
        try {
            return list.current();
        } catch (IOException e) {
            throw new IllegalStateException("it was read before", e);
        }
    }

    private static TlsAuthorization readList(Path file) throws IOException {
        try {
            OptionReader options =
                    new OptionReader(file.toString(), JsonOptions.parse(Files.readString(file)));
            TlsAuthorization read = list(options);
            options.finish();
            return read;
        } catch (IllegalArgumentException | BlockException e) {
            throw new IOException(
                    "the file %s is no list of rules: %s".formatted(file, e.getMessage()), e);
        } catch (IOException e) {
            throw new IOException("the file %s cannot be read: %s".formatted(file, e), e);
        }
    }

    /// What GnuTLS would let one choose is chosen here already.
    private static void checkPriority(OptionReader options) throws BlockException {
        String priority = options.textOrNull("priority");
        if (priority != null && !USUAL_PRIORITIES.contains(priority)) {
            throw options.invalid(
                    ("priority=%s cannot be chosen: TLS 1.3 and 1.2 are spoken with authenticated"
                                    + " ciphers alone, so leave it out or write NORMAL")
                            .formatted(priority));
        }
    }
}
