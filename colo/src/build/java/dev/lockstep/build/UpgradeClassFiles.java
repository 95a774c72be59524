package dev.lockstep.build;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassBuilder;
import java.lang.classfile.ClassElement;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFileVersion;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassModel;
import java.lang.classfile.MethodModel;
import java.lang.classfile.MethodTransform;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;

/// Gives the classes of old libraries a class file version that the JVM's cache of classes takes.
///
/// The cache leaves out classes of before version 50 (Java 6), whose bytecode has to be verified by
/// the old verifier at every start, and with them each lambda that implements one of their
/// interfaces. picocli's are of version 49, and are most of what the program needs to read its
/// command line. The bytecode stays as it is; the stack maps that newer verifiers want are added.
///
/// The build runs this file as it stands, before the rehearsal: `java UpgradeClassFiles.java
/// FOLDER`. Jars without such classes are not touched.
final class UpgradeClassFiles {
    /// The first version with stack maps.
    private static final int FIRST_CACHED = 50;

    private static final String CLASS = ".class";

    private final ClassFile classFile;

    /// @param jar what knows how the classes of a jar are related
    private UpgradeClassFiles(ClassLoader jar) {
        classFile =
                ClassFile.of(
                        ClassFile.StackMapsOption.GENERATE_STACK_MAPS,
                        ClassFile.ClassHierarchyResolverOption.of(
                                ClassHierarchyResolver.ofResourceParsing(jar)));
    }

    /// Upgrades the jars of a folder.
    public static void main(String[] arguments) throws IOException {
        try (DirectoryStream<Path> jars =
                Files.newDirectoryStream(Path.of(arguments[0]), "*.jar")) {
            for (Path jar : jars) {
                upgrade(jar);
            }
        }
    }

    private static void upgrade(Path jar) throws IOException {
        Map<String, byte[]> entries = entries(jar);
        if (entries.entrySet().stream().noneMatch(e -> isOld(e.getKey(), e.getValue()))) {
            return;
        }
        Path upgraded = jar.resolveSibling(jar.getFileName() + ".upgraded");
        try (URLClassLoader loader = new URLClassLoader(new URL[] {jar.toUri().toURL()});
                JarOutputStream output = new JarOutputStream(Files.newOutputStream(upgraded))) {
            UpgradeClassFiles upgrade = new UpgradeClassFiles(loader);
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                byte[] bytes = entry.getValue();
                output.putNextEntry(new JarEntry(entry.getKey()));
                output.write(isOld(entry.getKey(), bytes) ? upgrade.upgraded(bytes) : bytes);
                output.closeEntry();
            }
        }
        Files.move(upgraded, jar, StandardCopyOption.REPLACE_EXISTING);
    }

    private static Map<String, byte[]> entries(Path jar) throws IOException {
        Map<String, byte[]> entries = new LinkedHashMap<>();
        try (JarFile file = new JarFile(jar.toFile())) {
            file.stream()
                    .forEach(
                            entry -> {
                                try (InputStream content = file.getInputStream(entry)) {
                                    entries.put(entry.getName(), content.readAllBytes());
                                } catch (IOException e) {
                                    throw new UncheckedIOException(e);
                                }
                            });
        }
        return entries;
    }

    /// The major version is the fourth short of a class file.
    private static boolean isOld(String name, byte[] bytes) {
        return name.endsWith(CLASS)
                && (((bytes[6] & 0xff) << 8) | (bytes[7] & 0xff)) < FIRST_CACHED;
    }

    private byte[] upgraded(byte[] bytes) {
        ClassModel model = classFile.parse(bytes);
        return classFile.transformClass(model, UpgradeClassFiles::accept);
    }

    private static void accept(ClassBuilder builder, ClassElement element) {
        switch (element) {
            case ClassFileVersion _ -> builder.withVersion(FIRST_CACHED, 0);
            // Only a method that is built anew gets its stack maps.
            case MethodModel method ->
                    builder.transformMethod(
                            method,
                            MethodTransform.transformingCode((code, part) -> code.with(part)));
            default -> builder.with(element);
        }
    }
}
