package dev.lockstep.nbd.tls;

import java.util.List;
import java.util.regex.Pattern;

/// Which clients a server lets in, by the identity that TLS has proved: the distinguished name of a
/// certificate as GnuTLS writes it, or the name of a pre-shared key's user.
public interface TlsAuthorization {
    /// Whoever the credentials admit.
    TlsAuthorization ANYONE = _ -> true;

    /// Answers at once: from memory, or after a look at a local file.
    boolean allows(String identity);

    /// One rule of a list.
    ///
    /// @param match the identity, or with `glob` a pattern in which `*` stands for any characters
    ///     and `?` for one
    /// @param allow what becomes of those that match
    record Rule(String match, boolean allow, boolean glob) {
        boolean matches(String identity) {
            return glob ? pattern().matcher(identity).matches() : match.equals(identity);
        }

        private Pattern pattern() {
            StringBuilder pattern = new StringBuilder();
            match.codePoints()
                    .forEach(
                            c ->
                                    pattern.append(
                                            c == '*'
                                                    ? ".*"
                                                    : c == '?'
                                                            ? "."
                                                            : Pattern.quote(
                                                                    Character.toString(c))));
            return Pattern.compile(pattern.toString(), Pattern.DOTALL);
        }
    }

    /// The first rule that matches decides, as in QEMU's `authz-list`.
    ///
    /// @param allowOthers what becomes of those that no rule matches: QEMU's `policy`
    static TlsAuthorization list(List<Rule> rules, boolean allowOthers) {
        List<Rule> all = List.copyOf(rules);
        return identity ->
                all.stream()
                        .filter(rule -> rule.matches(identity))
                        .findFirst()
                        .map(Rule::allow)
                        .orElse(allowOthers);
    }

    /// Exactly one identity, as QEMU's `authz-simple`.
    static TlsAuthorization only(String identity) {
        return identity::equals;
    }
}
