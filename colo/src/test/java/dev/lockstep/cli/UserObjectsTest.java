package dev.lockstep.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.nbd.tls.TlsAuthorization;
import dev.lockstep.nbd.tls.TlsCredentials.Endpoint;

import org.junit.jupiter.api.Test;

import java.util.List;

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
        assertThrows(UsageError.class, () -> objects.credentials("c"));
        assertThrows(UsageError.class, () -> objects.authorization("a"));
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
    void what_is_misspelt_is_named() {
        for (String wrong :
                List.of(
                        "",
                        "nonsense,id=x",
                        "tls-creds-x509,id=x",
                        "tls-creds-x509,dir=/x",
                        "tls-creds-x509,id=x,dir=/x,endpoint=both",
                        "tls-creds-x509,id=x,dir=/x,priority=NORMAL",
                        "authz-simple,id=x",
                        "authz-list,id=x,rules.1.match=a",
                        "authz-list,id=x,rules.0.policy=allow",
                        "{")) {
            assertThrows(UsageError.class, () -> UserObjects.parse(List.of(wrong)), wrong);
        }
    }
}
