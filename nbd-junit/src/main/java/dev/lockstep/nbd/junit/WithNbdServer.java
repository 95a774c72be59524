package dev.lockstep.nbd.junit;

import dev.lockstep.nbd.Degradation;

import org.junit.jupiter.api.extension.ExtendWith;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/// Serves a disk in memory to a test that takes a [TestServer], or to all tests of a class. One on
/// a method goes before one on its class.
///
/// ```java
/// class ImportTest {
///     @Test
///     @WithNbdServer(size = 1 << 20, without = Degradation.NO_STRUCTURED, faults =
/// "read,nth=1,error=EIO")
///     void a_read_that_fails_once_is_reported(TestServer server) throws Exception {
///         try (RemoteDevice device = RemoteDevice.open(RemoteOptions.of(server.uri()))) {
///             assertThrows(BlockException.class, () -> device.read(0, ByteBuffer.allocate(512)));
///             device.read(0, ByteBuffer.allocate(512));
///         }
///     }
/// }
/// ```
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.TYPE, ElementType.METHOD})
@ExtendWith(NbdServerExtension.class)
public @interface WithNbdServer {
    /// How large the disk is, in bytes.
    long size() default 1 << 20;

    /// What the server does without.
    Degradation[] without() default {};

    /// What the server does wrong, each as [dev.lockstep.nbd.server.ServerFault#parse] reads it.
    String[] faults() default {};
}
