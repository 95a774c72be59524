package dev.lockstep.tidy;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/// What the compiler cannot check: sizes, directions of dependency, and banned calls.
class TidyTest {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    private static final int FILE_LINES_MAX = 500;

    /// The hard limit. It is a ratchet: lower it when the longest method shrinks, never raise it.
    private static final int METHOD_LINES_MAX = 70;

    /// Packages that a package may not import, longest prefix first; sub-packages count.
    private static final Map<String, Set<String>> FORBIDDEN_IMPORTS =
            Map.of(
                    "dev.lockstep.block",
                            Set.of(
                                    "dev.lockstep.nbd",
                                    "dev.lockstep.colo",
                                    "dev.lockstep.qmp",
                                    "dev.lockstep.cli",
                                    "io.netty",
                                    "com.fasterxml",
                                    "picocli",
                                    "java.net.Socket"),
                    "dev.lockstep.nbd",
                            Set.of(
                                    "dev.lockstep.colo",
                                    "dev.lockstep.qmp",
                                    "dev.lockstep.cli",
                                    "com.fasterxml",
                                    "picocli"),
                    "dev.lockstep.qmp", Set.of("dev.lockstep.cli", "dev.lockstep.colo", "picocli"),
                    "dev.lockstep.colo", Set.of("dev.lockstep.cli", "picocli"),
                    "dev.lockstep.colo.machine",
                            Set.of(
                                    "java.io",
                                    "java.net",
                                    "java.nio",
                                    "java.time.Clock",
                                    "java.util.concurrent",
                                    "dev.lockstep.block",
                                    "dev.lockstep.nbd",
                                    "dev.lockstep.qmp"));

    /// A call, and what to write in its place. The pattern is matched against each line of main
    /// code.
    private static final Map<Pattern, String> BANNED_IN_MAIN =
            Map.of(
                    Pattern.compile("\\bsynchronized\\b(?!.*//)"),
                            "a ReentrantLock with a comment saying what it guards",
                    Pattern.compile("\\bCompletableFuture\\b"), "blocking code on a virtual thread",
                    Pattern.compile("Thread\\.sleep\\("),
                            "a condition, or LockSupport.parkNanos with its reason",
                    Pattern.compile("\\.printStackTrace\\("), "the logger",
                    Pattern.compile("@SuppressWarnings\\(\"unchecked\"\\)"), "a typed design",
                    Pattern.compile("\\bSystem\\.currentTimeMillis\\("),
                            "System.nanoTime, or a clock that is handed in",
                    Pattern.compile("\\bnew Random\\(\\)"), "a seed that is printed or handed in",
                    Pattern.compile("TO" + "DO|FIX" + "ME|XX" + "X\\b"), "an issue");

    private static final Map<Pattern, String> BANNED_IN_TESTS =
            Map.of(
                    Pattern.compile("Thread\\.sleep\\(|SECONDS\\.sleep\\("),
                            "Awaitility on the condition",
                    Pattern.compile("@Disabled|assumeTrue|assumeThat"),
                            "a failure that says how to install the peer",
                    Pattern.compile("\\bnew Random\\(\\)"),
                            "new Random(seed) with the seed printed",
                    Pattern.compile("Mockito"), "the real thing",
                    Pattern.compile("TO" + "DO|FIX" + "ME|XX" + "X\\b"), "an issue");

    @Test
    void no_file_is_longer_than_the_limit() throws IOException {
        List<String> findings = new ArrayList<>();
        for (Path file : Sources.javaFiles(ROOT)) {
            int lines = Files.readAllLines(file).size();
            if (lines > FILE_LINES_MAX) {
                findings.add("%s has %d lines".formatted(ROOT.relativize(file), lines));
            }
        }
        assertNone("split these files", findings);
    }

    @Test
    void no_method_is_longer_than_the_ratchet() throws IOException {
        List<String> findings = new ArrayList<>();
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files =
                compiler.getStandardFileManager(null, Locale.ROOT, null)) {
            JavacTask task =
                    (JavacTask)
                            compiler.getTask(
                                    null,
                                    files,
                                    null,
                                    List.of("-proc:none"),
                                    null,
                                    files.getJavaFileObjectsFromPaths(Sources.javaFiles(ROOT)));
            SourcePositions positions = Trees.instance(task).getSourcePositions();
            for (CompilationUnitTree unit : task.parse()) {
                new MethodLengths(unit, positions, findings).scan(unit, null);
            }
        }
        assertNone("split these methods", findings);
    }

    @Test
    void dependencies_point_one_way() throws IOException {
        List<String> findings = new ArrayList<>();
        for (Path file : Sources.javaFiles(ROOT)) {
            String source = Files.readString(file);
            if (!file.toString().contains("/src/main/")) {
                continue;
            }
            String packageName = first(source, "(?m)^package ([\\w.]+);");
            Matcher imports = Pattern.compile("(?m)^import (?:static )?([\\w.]+);").matcher(source);
            while (imports.find()) {
                String imported = imports.group(1);
                FORBIDDEN_IMPORTS.forEach(
                        (from, targets) -> {
                            if (inPackage(packageName, from)
                                    && targets.stream().anyMatch(t -> inPackage(imported, t))) {
                                findings.add(ROOT.relativize(file) + " imports " + imported);
                            }
                        });
            }
        }
        assertNone("these imports point the wrong way", findings);
    }

    @Test
    void every_package_opens_with_a_null_marked_package_info() throws IOException {
        List<String> findings = new ArrayList<>();
        for (Path file : Sources.javaFiles(ROOT)) {
            Path info = file.resolveSibling("package-info.java");
            if (!Files.exists(info)) {
                findings.add(ROOT.relativize(info) + " is missing");
            } else if (!Files.readString(info).contains("@NullMarked")) {
                findings.add(ROOT.relativize(info) + " is not @NullMarked");
            }
        }
        assertNone(
                "every package is one layer with a manual page",
                findings.stream().distinct().toList());
    }

    @Test
    void no_banned_call_is_used() throws IOException {
        List<String> findings = new ArrayList<>();
        for (Path file : Sources.javaFiles(ROOT)) {
            if (file.toString().contains("/tidy/")) {
                continue;
            }
            boolean main = file.toString().contains("/src/main/");
            List<String> lines = Files.readAllLines(file);
            for (int index = 0; index < lines.size(); index++) {
                String line = lines.get(index);
                String where = "%s:%d".formatted(ROOT.relativize(file), index + 1);
                if (line.strip().startsWith("//")) {
                    continue;
                }
                (main ? BANNED_IN_MAIN : BANNED_IN_TESTS)
                        .forEach(
                                (banned, replacement) -> {
                                    if (banned.matcher(line).find()) {
                                        findings.add(
                                                "%s: %s; use %s"
                                                        .formatted(
                                                                where, line.strip(), replacement));
                                    }
                                });
            }
        }
        assertNone("these calls have a replacement", findings);
    }

    private static void assertNone(String what, List<String> findings) {
        assertEquals("", String.join("\n", findings), what);
    }

    private static boolean inPackage(String name, String prefix) {
        return name.equals(prefix) || name.startsWith(prefix + ".");
    }

    private static String first(String source, String regex) {
        Matcher matcher = Pattern.compile(regex).matcher(source);
        return matcher.find() ? matcher.group(1) : "";
    }

    /// Reports every method whose declaration spans more lines than the ratchet allows.
    private static final class MethodLengths extends TreeScanner<@Nullable Void, @Nullable Void> {
        private final CompilationUnitTree unit;
        private final SourcePositions positions;
        private final List<String> findings;
        private String className = "";

        MethodLengths(CompilationUnitTree unit, SourcePositions positions, List<String> findings) {
            this.unit = unit;
            this.positions = positions;
            this.findings = findings;
        }

        @Override
        public @Nullable Void visitClass(ClassTree tree, @Nullable Void unused) {
            className = tree.getSimpleName().toString();
            return super.visitClass(tree, null);
        }

        @Override
        public @Nullable Void visitMethod(MethodTree tree, @Nullable Void unused) {
            long start = positions.getStartPosition(unit, tree);
            long end = positions.getEndPosition(unit, tree);
            if (start >= 0 && end > start) {
                long lines =
                        unit.getLineMap().getLineNumber(end)
                                - unit.getLineMap().getLineNumber(start)
                                + 1;
                if (lines > METHOD_LINES_MAX) {
                    findings.add("%s.%s has %d lines".formatted(className, tree.getName(), lines));
                }
            }
            return super.visitMethod(tree, null);
        }
    }
}
