package dev.lockstep.nbd.tls;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A certificate authority of the tests, in a folder of its own. GnuTLS' certtool does the work, so
/// what it makes is what users of QEMU and nbdkit have.
public final class Authority {
    /// What a server on this host is called.
    private static final List<String> LOCALHOST =
            List.of("cn = \"localhost\"", "dns_name = \"localhost\"", "ip_address = \"127.0.0.1\"");

    private final Path folder;

    private Authority(Path folder) {
        this.folder = folder;
    }

    /// A new authority.
    public static Authority in(Path folder) throws Exception {
        Authority made = new Authority(Files.createDirectories(folder));
        made.newKey("ca", "ecdsa");
        made.certtool(
                made.template(
                        "ca", "cn = \"CA of a test\"", "ca", "cert_signing_key", "crl_signing_key"),
                "--generate-self-signed",
                "--load-privkey",
                made.file("ca-key.pem"),
                "--outfile",
                made.file("ca-cert.pem"));
        return made;
    }

    /// Where the authority's own files are.
    public Path folder() {
        return folder;
    }

    /// A folder with the authority's certificate and a server's for this host.
    public Path server(Path to) throws Exception {
        return issue(to, "server", "ecdsa", LOCALHOST.toArray(String[]::new));
    }

    /// Adds a client's certificate to a folder.
    public Path client(Path to, String name) throws Exception {
        return issue(to, "client", "ecdsa", "cn = \"%s\"".formatted(name));
    }

    /// Issues a certificate, in the files that QEMU reads.
    ///
    /// @param end `server` or `client`
    /// @param keyType of certtool
    /// @param lines of certtool's template
    public Path issue(Path to, String end, String keyType, String... lines) throws Exception {
        Files.createDirectories(to);
        newKey(end, keyType);
        List<String> all = new ArrayList<>(Arrays.asList(lines));
        all.add("tls_www_" + end);
        all.add("signing_key");
        certtool(
                template(end, all.toArray(String[]::new)),
                "--generate-certificate",
                "--load-ca-certificate",
                file("ca-cert.pem"),
                "--load-ca-privkey",
                file("ca-key.pem"),
                "--load-privkey",
                file(end + "-key.pem"),
                "--outfile",
                file(end + "-cert.pem"));
        for (String name : List.of("ca-cert.pem", end + "-cert.pem", end + "-key.pem")) {
            Path made = Files.createTempFile(to, name, ".new");
            Files.copy(folder.resolve(name), made, StandardCopyOption.REPLACE_EXISTING);
            Files.move(made, to.resolve(name), StandardCopyOption.ATOMIC_MOVE);
        }
        return to;
    }

    /// Writes `ca-crl.pem` to a folder: a list with that folder's client on it, or with nobody.
    public void revoke(Path to, boolean client) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "--generate-crl",
                                "--load-ca-certificate",
                                file("ca-cert.pem"),
                                "--load-ca-privkey",
                                file("ca-key.pem"),
                                "--outfile",
                                to.resolve("ca-crl.pem").toString()));
        if (client) {
            command.addAll(List.of("--load-certificate", to.resolve("client-cert.pem").toString()));
        }
        certtool(
                template("crl", "crl_next_update = 30", "crl_number = 5"),
                command.toArray(String[]::new));
    }

    /// The name in a certificate, as servers of ours know it.
    public static String subject(Path certificate) throws IOException {
        return DistinguishedName.format(
                Pem.certificates(certificate).getFirst().getSubjectX500Principal());
    }

    private void newKey(String end, String type) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "certtool",
                                "--generate-privkey",
                                "--key-type",
                                type,
                                "--outfile",
                                file(end + "-key.pem")));
        if (type.equals("ecdsa")) {
            command.addAll(List.of("--curve", "secp256r1"));
        } else if (type.equals("rsa")) {
            command.addAll(List.of("--bits", "2048"));
        }
        run(command);
    }

    private String file(String name) {
        return folder.resolve(name).toString();
    }

    private Path template(String name, String... lines) throws IOException {
        return Files.writeString(
                folder.resolve(name + ".template"),
                String.join("\n", lines)
                        + (Arrays.stream(lines).anyMatch(line -> line.startsWith("expiration"))
                                ? "\n"
                                : "\nexpiration_days = 30\n"));
    }

    private void certtool(Path template, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("certtool", "--template", "" + template));
        command.addAll(Arrays.asList(arguments));
        run(command);
    }

    static void run(List<String> command) throws Exception {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new IOException(
                    command.getFirst() + " is missing: apt-get install gnutls-bin openssl", e);
        }
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
    }
}
