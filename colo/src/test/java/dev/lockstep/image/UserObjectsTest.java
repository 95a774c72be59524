package dev.lockstep.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;

import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

class UserObjectsTest {
    @Test
    void credentials_are_known_by_their_id_and_say_for_which_end_they_are() {
        UserObjects objects =
                UserObjects.parse(
                        List.of(
                                "tls-creds-x509,id=a,dir=/pki,endpoint=server,verify-peer=off",
                                "{'qom-type':'tls-creds-psk','id':'b','dir':'/k'}",
                                "secret,id=s,data=x,format=raw"));
        assertEquals(Endpoint.SERVER, objects.credentials("a").endpoint());
        assertEquals(Endpoint.CLIENT, objects.credentials("b").endpoint());
        assertNull(objects.findCredentials("s"));
        assertThrows(IllegalArgumentException.class, () -> objects.credentials("c"));
        assertThrows(IllegalArgumentException.class, () -> objects.authorization("a"));
    }

    @Test
    void one_identity_may_have_commas_written_twice() {
        TlsAuthorization one =
                UserObjects.parse(List.of("authz-simple,id=z,identity=CN=laptop,,O=Org"))
                        .authorization("z");
        assertTrue(one.allows("CN=laptop,O=Org"));
        assertFalse(one.allows("CN=laptop"));
    }

    @Test
    void the_first_rule_that_matches_decides_and_otherwise_the_policy() {
        TlsAuthorization list =
                UserObjects.parse(
                                List.of(
                                        "authz-list,id=z,policy=deny,rules.0.match=eve,"
                                                + "rules.1.match=CN=*.example,rules.1.format=glob,"
                                                + "rules.1.policy=allow,rules.2.match=e?e,"
                                                + "rules.2.format=glob,rules.2.policy=allow"))
                        .authorization("z");
        assertFalse(list.allows("eve"));
        assertTrue(list.allows("ece"));
        assertTrue(list.allows("CN=a.b.example"));
        assertFalse(list.allows("CN=a.b.examples"));
        assertFalse(list.allows("CN=a+example"));
        assertFalse(list.allows("mallory"));
    }

    @Test
    void a_list_in_a_file_is_read_again_when_it_changes(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("list.json");
        Files.writeString(
                file,
                """
                { "rules": [ { "match": "alice", "policy": "allow" },
                             { "match": "CN=*", "policy": "allow", "format": "glob" } ],
                  "policy": "deny" }
                """);
        String definition = "authz-list-file,id=%s,filename=" + file;
        UserObjects objects =
                UserObjects.parse(
                        List.of(
                                definition.formatted("fresh"),
                                definition.formatted("once") + ",refresh=off"));
        TlsAuthorization fresh = objects.authorization("fresh");
        TlsAuthorization once = objects.authorization("once");
        assertTrue(fresh.allows("alice") && fresh.allows("CN=x") && !fresh.allows("bob"));
        Files.writeString(file, "{ \"rules\": [");
        assertTrue(fresh.allows("alice"), "a file that is no JSON changes nothing");
        Files.writeString(file, "{ \"rules\": [ { \"match\": \"bob\", \"policy\": \"allow\" } ] }");
        assertTrue(fresh.allows("bob") && !fresh.allows("alice"));
        assertTrue(once.allows("alice") && !once.allows("bob"));
    }

    @Test
    void a_list_in_a_file_that_cannot_be_read_is_told_at_once(@TempDir Path folder)
            throws IOException {
        Path file = folder.resolve("list.json");
        List<String> definition = List.of("authz-list-file,id=x,filename=" + file);
        assertThrows(IllegalArgumentException.class, () -> UserObjects.parse(definition));
        Files.writeString(file, "{ \"rules\": [ { \"policy\": \"allow\" } ] }");
        IllegalArgumentException error =
                assertThrows(IllegalArgumentException.class, () -> UserObjects.parse(definition));
        assertTrue(String.valueOf(error.getMessage()).contains("list.json"), error.getMessage());
    }

    @Test
    void a_priority_that_changes_nothing_is_accepted_and_another_refused() {
        String definition = "tls-creds-psk,id=x,dir=/x,priority=";
        UserObjects.parse(List.of(definition + "NORMAL"));
        IllegalArgumentException error =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> UserObjects.parse(List.of(definition + "NORMAL:-VERS-TLS1.2")));
        assertTrue(String.valueOf(error.getMessage()).contains("priority=NORMAL:-VERS-TLS1.2"));
    }

    @Test
    void a_secret_is_given_as_text_or_file_in_base64_or_encrypted_by_another(@TempDir Path folder)
            throws Exception {
        Path file = Files.writeString(folder.resolve("word"), "open");
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding");
        cipher.init(
                Cipher.ENCRYPT_MODE,
                new SecretKeySpec(new byte[32], "AES"),
                new IvParameterSpec(new byte[16]));
        Base64.Encoder base64 = Base64.getEncoder();
        List<String> definitions =
                List.of(
                        "secret,id=a,data=open",
                        "secret,id=b,file=" + file,
                        "secret,id=c,format=base64,data=b3Blbg==",
                        "secret,id=k,format=base64,data=" + base64.encodeToString(new byte[32]),
                        "secret,id=d,format=base64,keyid=k,iv=%s,data=%s"
                                .formatted(
                                        base64.encodeToString(new byte[16]),
                                        base64.encodeToString(
                                                cipher.doFinal("open".getBytes(UTF_8)))));
        UserObjects objects = UserObjects.parse(definitions);
        for (String id : List.of("a", "b", "c", "d")) {
            assertEquals("open", objects.secret(id).text(), id);
        }
        UserObjects.parse(List.of("secret,id=a,data=x", "tls-creds-x509,id=x,dir=/,passwordid=a"));
    }

    @Test
    void an_id_is_given_once() {
        IllegalArgumentException error =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> UserObjects.parse(List.of("secret,id=a,data=x", "authz-list,id=a")));
        assertTrue(String.valueOf(error.getMessage()).contains("another object 'a'"));
    }

    @Test
    void what_is_misspelt_is_named() {
        for (String wrong :
                List.of(
                        "",
                        "nonsense,id=x",
                        "tls-creds-x509,id=x",
                        "tls-creds-x509,dir=/x",
                        "tls-creds-x509,id=x,dir=/x,endpoint=both",
                        "tls-creds-x509,id=x,dir=/x,priority=LEGACY",
                        "authz-simple,id=x",
                        "secret,id=x",
                        "secret,id=x,data=a,file=/b",
                        "secret,id=x,file=/nonexistent",
                        "secret,id=x,format=base64,data=*",
                        "secret,id=x,data=a,keyid=y",
                        "secret,id=x,data=a,keyid=y,iv=z",
                        "tls-creds-x509,id=x,dir=/x,passwordid=y",
                        "authz-list,id=x,rules.1.match=a",
                        "authz-list,id=x,rules.0.policy=allow",
                        "{")) {
            assertThrows(
                    IllegalArgumentException.class, () -> UserObjects.parse(List.of(wrong)), wrong);
        }
    }
}
