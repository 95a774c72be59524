package dev.lockstep.nbd.junit;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.file.FileOptions;
import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.server.ServerFault;

import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.platform.commons.support.AnnotationSupport;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;

/// Hands each test an NBD server of its own, as a parameter of type [TestServer].
///
/// ```java
/// class CopyTest {
///     @RegisterExtension
///     static final NbdServerExtension NBD =
///             NbdServerExtension.random(1 << 20, 7)
///                     .with("empty", () -> new MemoryDevice(1 << 20))
///                     .without(Degradation.NO_ZEROES);
///
///     @Test
///     void a_disk_is_copied(TestServer server) throws Exception {
///         Process copy =
///                 new ProcessBuilder("nbdcopy", "" + server.uri(), "" +
/// server.uri("empty")).start();
///         assertEquals(0, copy.waitFor());
///         assertArrayEquals(server.bytes("", 0, 1 << 20), server.bytes("empty", 0, 1 << 20));
///     }
/// }
/// ```
///
/// For a disk in memory and nothing else, the annotation [WithNbdServer] is shorter.
public final class NbdServerExtension
        implements BeforeEachCallback, AfterEachCallback, ParameterResolver {
    private static final Namespace NAMESPACE = Namespace.create(NbdServerExtension.class);

    private final Setup setup;

    /// Opens the disk of one test. The extension closes it.
    public interface Disk {
        /// Called before each test.
        BlockDevice open() throws Exception;
    }

    /// What a test is given.
    ///
    /// @param disks by the names of their exports
    /// @param unixSocket whether the server listens on one rather than on TCP
    /// @param forgiving whether clients may break the protocol
    record Setup(
            Map<String, Disk> disks,
            Set<Degradation> degradations,
            List<ServerFault> faults,
            boolean unixSocket,
            boolean forgiving) {
        Setup {
            disks = Collections.unmodifiableMap(new LinkedHashMap<>(disks));
        }
    }

    /// For [WithNbdServer].
    NbdServerExtension() {
        this(new Setup(Map.of(), Set.of(), List.of(), false, false));
    }

    private NbdServerExtension(Setup setup) {
        this.setup = setup;
    }

    /// Serves one disk as the default export, whose name is empty.
    public static NbdServerExtension serving(Disk disk) {
        return new NbdServerExtension().with("", disk);
    }

    /// Serves zeroes in memory.
    public static NbdServerExtension memory(long bytes) {
        return serving(() -> new MemoryDevice(bytes));
    }

    /// Serves what a test knows to expect.
    public static NbdServerExtension containing(byte[] bytes) {
        byte[] contents = bytes.clone();
        return serving(
                () -> {
                    MemoryDevice disk = new MemoryDevice(contents.length);
                    disk.write(0, ByteBuffer.wrap(contents), WriteFlag.NONE);
                    return disk;
                });
    }

    /// Serves random bytes in memory, the same for the same seed.
    public static NbdServerExtension random(int bytes, long seed) {
        byte[] contents = new byte[bytes];
        new Random(seed).nextBytes(contents);
        return containing(contents);
    }

    /// Serves a raw image. Unlike the others, it is the same file for each test.
    public static NbdServerExtension file(Path image) {
        return serving(() -> FileDevice.open(FileOptions.of(image)));
    }

    /// Serves one more disk, or another one under the same name.
    public NbdServerExtension with(String export, Disk disk) {
        Map<String, Disk> disks = new LinkedHashMap<>(setup.disks);
        disks.put(export, disk);
        return new NbdServerExtension(
                new Setup(
                        disks,
                        setup.degradations,
                        setup.faults,
                        setup.unixSocket,
                        setup.forgiving));
    }

    /// Does without parts of the protocol.
    public NbdServerExtension without(Degradation... these) {
        return new NbdServerExtension(
                new Setup(
                        setup.disks,
                        Set.of(these),
                        setup.faults,
                        setup.unixSocket,
                        setup.forgiving));
    }

    /// Does something wrong in each test, as [ServerFault#parse] reads it.
    public NbdServerExtension withFault(String fault) {
        return new NbdServerExtension(
                new Setup(
                        setup.disks,
                        setup.degradations,
                        Stream.concat(setup.faults.stream(), Stream.of(ServerFault.parse(fault)))
                                .toList(),
                        setup.unixSocket,
                        setup.forgiving));
    }

    /// Listens on a unix socket rather than on TCP.
    public NbdServerExtension overUnixSocket() {
        return new NbdServerExtension(
                new Setup(setup.disks, setup.degradations, setup.faults, true, setup.forgiving));
    }

    /// Bears clients that break the protocol.
    public NbdServerExtension forgiving() {
        return new NbdServerExtension(
                new Setup(setup.disks, setup.degradations, setup.faults, setup.unixSocket, true));
    }

    @Override
    public void beforeEach(ExtensionContext context) throws Exception {
        store(context).put(this, TestServer.start(setup(context)));
    }

    @Override
    public void afterEach(ExtensionContext context) throws Exception {
        server(context).finish();
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == TestServer.class;
    }

    @Override
    public TestServer resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return server(context);
    }

    private Setup setup(ExtensionContext context) {
        return setup.disks.isEmpty()
                ? Stream.of(context.getRequiredTestMethod(), context.getRequiredTestClass())
                        .flatMap(
                                place ->
                                        AnnotationSupport.findAnnotation(place, WithNbdServer.class)
                                                .stream())
                        .findFirst()
                        .map(NbdServerExtension::annotated)
                        .orElseGet(() -> memory(1 << 20).setup)
                : setup;
    }

    private static Setup annotated(WithNbdServer wish) {
        NbdServerExtension extension = memory(wish.size()).without(wish.without());
        for (String fault : wish.faults()) {
            extension = extension.withFault(fault);
        }
        return extension.setup;
    }

    private TestServer server(ExtensionContext context) {
        TestServer server = store(context).get(this, TestServer.class);
        if (server == null) {
            throw new IllegalStateException("a server is there during a test, not before it");
        }
        return server;
    }

    private static Store store(ExtensionContext context) {
        return context.getStore(NAMESPACE);
    }
}
