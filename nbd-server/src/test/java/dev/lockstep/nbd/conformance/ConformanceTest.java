package dev.lockstep.nbd.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.platform.commons.support.AnnotationSupport;
import org.junit.platform.commons.support.HierarchyTraversalMode;
import org.junit.platform.commons.support.ReflectionSupport;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;

/// `docs/nbd-conformance.md` says which test shows which requirement.
///
/// After a change of the requirements or of the tests that show them, run with
/// `-Dlockstep.write=true` to write it anew, and read the difference.
class ConformanceTest {
    private static final Path DOCUMENT =
            Path.of("..", "docs", "nbd-conformance.md").toAbsolutePath().normalize();

    /// @param whyNot why we do otherwise, or empty
    private record Requirement(
            String section, String who, String level, String what, String whyNot) {
        static Requirement parse(String section, List<String> fields) {
            return new Requirement(
                    section,
                    fields.get(1),
                    fields.get(2),
                    fields.get(3),
                    fields.size() > 4 ? fields.get(4) : "");
        }
    }

    private final Map<String, Requirement> requirements = read();
    private final Map<String, List<String>> tests = tests();

    @Test
    void every_requirement_is_shown_by_a_test_or_says_why_not() {
        List<String> unshown = new ArrayList<>();
        requirements.forEach(
                (key, requirement) -> {
                    if (requirement.whyNot.isEmpty() != tests.containsKey(key)) {
                        unshown.add(key);
                    }
                });
        assertEquals(List.of(), unshown, "either a test or a reason, not both");
    }

    @Test
    void every_test_shows_a_requirement_that_there_is() {
        TreeSet<String> unknown = new TreeSet<>(tests.keySet());
        unknown.removeAll(requirements.keySet());
        assertEquals(new TreeSet<>(), unknown);
    }

    @Test
    void the_document_agrees_with_the_tests() throws IOException {
        String document = document();
        if (Boolean.getBoolean("lockstep.write")) {
            Files.writeString(DOCUMENT, document);
        }
        assertEquals(Files.readString(DOCUMENT), document);
    }

    private String document() {
        long shown = requirements.values().stream().filter(r -> r.whyNot.isEmpty()).count();
        StringBuilder text =
                new StringBuilder(
                        """
                        # NBD: what the protocol asks, and the tests that show it

                        Written by `ConformanceTest` from the tests of the module nbd-server. Each row is a requirement
                        of the NBD protocol document and its extension "extended headers", in our own words, under the
                        document's own headings. A test that is named here would fail if we broke the requirement.

                        """);
        text.append("Of %d requirements, tests show %d.\n".formatted(requirements.size(), shown));
        String section = "";
        for (Map.Entry<String, Requirement> each : requirements.entrySet()) {
            Requirement requirement = each.getValue();
            if (!requirement.section.equals(section)) {
                section = requirement.section;
                text.append("\n## %s\n\n".formatted(section));
                text.append("| who | | what | shown by |\n|---|---|---|---|\n");
            }
            text.append(
                    "| %s | %s | %s | %s |\n"
                            .formatted(
                                    requirement.who,
                                    requirement.level,
                                    requirement.what,
                                    shownBy(each.getKey(), requirement)));
        }
        return text.toString();
    }

    private String shownBy(String key, Requirement requirement) {
        return requirement.whyNot.isEmpty()
                ? String.join("; ", tests.getOrDefault(key, List.of()))
                : "*no: " + requirement.whyNot + "*";
    }

    private static Map<String, Requirement> read() {
        Map<String, Requirement> found = new LinkedHashMap<>();
        String section = "";
        for (String line : text("requirements.txt").lines().toList()) {
            if (line.startsWith("## ")) {
                section = line.substring(3);
            } else if (!line.isBlank() && !line.startsWith("# ")) {
                List<String> fields =
                        List.of(line.split("\\|")).stream().map(String::strip).toList();
                if (fields.size() < 4 || found.containsKey(fields.getFirst())) {
                    throw new IllegalStateException("twice, or not whole: " + line);
                }
                found.put(fields.getFirst(), Requirement.parse(section, fields));
            }
        }
        return found;
    }

    private static String text(String resource) {
        try (InputStream in =
                Objects.requireNonNull(ConformanceTest.class.getResourceAsStream(resource))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /// The tests of this module, by the keys that they show.
    private static Map<String, List<String>> tests() {
        Map<String, List<String>> found = new TreeMap<>();
        for (Class<?> each :
                ReflectionSupport.findAllClassesInPackage(
                        "dev.lockstep.nbd", _ -> true, _ -> true)) {
            for (Method method :
                    AnnotationSupport.findAnnotatedMethods(
                            each, Shows.class, HierarchyTraversalMode.TOP_DOWN)) {
                if (method.getDeclaringClass() == each) {
                    String name = "%s.%s".formatted(each.getSimpleName(), method.getName());
                    for (String key : method.getAnnotation(Shows.class).value()) {
                        found.computeIfAbsent(key, _ -> new ArrayList<>()).add(name);
                    }
                }
            }
        }
        found.values().forEach(names -> names.sort(null));
        return found;
    }
}
