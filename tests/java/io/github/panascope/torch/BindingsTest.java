package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.bindings.Psc;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Header, shim, bindings and manifest agree; each can be changed only together with the others. */
class BindingsTest {
    private static final Path HEADER = Path.of("native/include/psc.h");
    private static final String ADVICE = ": run bindings/regenerate.sh";

    private static Set<String> functions(String header) {
        Matcher matcher = Pattern.compile("PSC_API[^;]*?[ *](psc_\\w+)\\(").matcher(header);
        Set<String> names = new TreeSet<>();
        while (matcher.find()) names.add(matcher.group(1));
        return names;
    }

    @Test
    void theManifestsDigestsAreThoseOfTheFiles() throws IOException {
        Properties manifest = new Properties();
        try (var in = Files.newInputStream(Path.of("bindings/GENERATED.properties"))) {
            manifest.load(in);
        }
        assertEquals(manifest.getProperty("psc.h.sha256"), LibTorch.sha256(HEADER), "psc.h" + ADVICE);
        assertEquals(
                manifest.getProperty("includes.txt.sha256"),
                LibTorch.sha256(Path.of("bindings/includes.txt")),
                "includes.txt" + ADVICE);
        Set<String> files;
        try (var walk = Files.walk(Path.of("bindings/java"))) {
            files = walk.filter(Files::isRegularFile)
                    .map(file -> Path.of("bindings").relativize(file).toString())
                    .collect(Collectors.toCollection(TreeSet::new));
        }
        for (String file : files)
            assertEquals(
                    manifest.getProperty(file + ".sha256"), LibTorch.sha256(Path.of("bindings", file)), file + ADVICE);
        long listed = manifest.stringPropertyNames().stream()
                .filter(name -> name.startsWith("java/"))
                .count();
        assertEquals(files.size(), listed);
    }

    @Test
    void everyFunctionOfTheHeaderIsBoundAndExported() throws IOException {
        Set<String> declared = functions(Files.readString(HEADER));
        Set<String> bound = Arrays.stream(Psc.class.getMethods())
                .map(Method::getName)
                .filter(name -> name.startsWith("psc_") && !name.contains("$"))
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(declared, bound);
        NativeLibrary.load();
        SymbolLookup shim = SymbolLookup.libraryLookup("libpanascope.so", Arena.global());
        for (String name : declared) assertTrue(shim.find(name).isPresent(), name);
        assertEquals(Psc.PSC_ABI_VERSION(), Psc.psc_abi_version());
        assertEquals(
                LibTorch.sha256(HEADER),
                Native.text(Psc.psc_header_sha256()),
                "the shim is compiled from another header");
    }

    @Test
    void dtypesHaveTheShimsCodes() throws ReflectiveOperationException {
        NativeLibrary.load();
        for (DType dtype : DType.values())
            assertEquals(Psc.class.getMethod("PSC_" + dtype.name()).invoke(null), dtype.code, dtype.name());
    }

    @Test
    void everyPointerOfTheHeaderSaysWhoOwnsIt() throws IOException {
        String header = Files.readString(HEADER);
        assertTrue(header.lines().count() <= 600);
        String code = header.replaceAll("(?s)/\\*.*?\\*/", "")
                .replaceAll("(?m)^#.*$", "")
                .replaceAll("(?s)typedef struct \\w+ \\w+;", "");
        int pointers = 0;
        for (String part : code.split("[;(,{]")) {
            if (!part.contains("*") || part.strip().startsWith("*psc_hook_fn")) continue;
            pointers++;
            assertTrue(part.matches("(?s).*PSC_(BORROWED|CONSUMED|OUT|OUT_OWNED|STATIC)\\b.*"), part.strip());
        }
        assertTrue(pointers > 60, pointers + " pointers were seen");
    }
}
