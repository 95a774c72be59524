package dev.lockstep.nbd.junit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/// Compiles and runs every example in the comments of the library, so that none of them lies.
///
/// An example is what stands between ```` ```java ```` and its end. One that declares a class is a
/// test class; any other is the body of a method that has a `folder` to itself.
class ExamplesTest {
    private static final Pattern EXAMPLE =
            Pattern.compile(
                    "^ *///[ ]*```java\\R(.*?)^ *///[ ]*```$", Pattern.DOTALL | Pattern.MULTILINE);

    private static final List<String> MODULES = List.of("../nbd-server", "../nbd-junit");

    /// What a reader's editor would add.
    private static final String IMPORTS =
            """
            import static org.junit.jupiter.api.Assertions.*;
            import dev.lockstep.block.*;
            import dev.lockstep.block.graph.*;
            import dev.lockstep.block.memory.*;
            import dev.lockstep.nbd.*;
            import dev.lockstep.nbd.client.*;
            import dev.lockstep.nbd.junit.*;
            import dev.lockstep.nbd.server.*;
            import java.nio.ByteBuffer;
            import java.nio.file.*;
            import java.util.*;
            import org.junit.jupiter.api.*;
            import org.junit.jupiter.api.extension.*;
            """;

    @TempDir private Path folder;

    @TestFactory
    List<DynamicTest> every_example_compiles_and_runs() throws IOException {
        List<DynamicTest> tests = new ArrayList<>();
        for (String module : MODULES) {
            try (Stream<Path> files = Files.walk(Path.of(module, "src/main/java"))) {
                for (Path file : files.filter(path -> path.toString().endsWith(".java")).toList()) {
                    Matcher example = EXAMPLE.matcher(Files.readString(file));
                    while (example.find()) {
                        String code = example.group(1).replaceAll("(?m)^ *///", "");
                        String name = "%s, example %d".formatted(file, tests.size());
                        tests.add(DynamicTest.dynamicTest(name, () -> run(code)));
                    }
                }
            }
        }
        assertTrue(tests.size() >= 4, "the examples were not found");
        return tests;
    }

    private void run(String code) throws Exception {
        Matcher declared = Pattern.compile("(?m)^ class (\\w+)").matcher(code);
        boolean isTest = declared.find();
        String name = isTest ? declared.group(1) : "Example";
        String unit =
                isTest
                        ? IMPORTS + code
                        : IMPORTS
                                + "public class Example { public static void run(Path folder)"
                                + " throws Exception {\n"
                                + code
                                + "}}";
        Path classes = Files.createTempDirectory(folder, "classes");
        compile(name, unit, classes);
        try (URLClassLoader loader = new URLClassLoader(new URL[] {classes.toUri().toURL()})) {
            Class<?> example = loader.loadClass(name);
            if (isTest) {
                assertEquals(new InnerRun(1, List.of()), InnerRun.of(example));
            } else {
                example.getMethod("run", Path.class).invoke(null, folder);
            }
        }
    }

    private static void compile(String name, String unit, Path classes) {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter errors = new StringWriter();
        List<String> options =
                List.of("-d", classes.toString(), "-cp", System.getProperty("java.class.path"));
        JavaFileObject source =
                new SimpleJavaFileObject(
                        URI.create("string:///" + name + ".java"), JavaFileObject.Kind.SOURCE) {
                    @Override
                    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                        return unit;
                    }
                };
        compiler.getTask(errors, null, null, options, null, List.of(source)).call();
        assertEquals("", errors.toString(), unit);
    }
}
