package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.Golden;
import io.github.panascope.hub.FakeHub;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The packaged jars, in processes of their own and in another folder. */
class PackagedIT {
    private static final Path JAR = Path.of("target/panascope.jar").toAbsolutePath();

    @TempDir
    private Path folder;

    private record Result(int status, String out) {}

    private Result run(String java, String... arguments) throws IOException, InterruptedException {
        return run(Map.of(), java, arguments);
    }

    private Result run(Map<String, String> environment, String java, String... arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(java, "-jar", JAR.toString()));
        command.addAll(Arrays.asList(arguments));
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true);
        builder.environment().putAll(environment);
        Process process = builder.start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), out);
    }

    private static String thisJava() {
        return Path.of(System.getProperty("java.home"), "bin", "java").toString();
    }

    @Test
    void theTutorialRunsFromAnyFolderWithoutFlags() throws Exception {
        Result result = run(thisJava(), "tutorial");
        assertEquals(0, result.status, result.out);
        assertTrue(Files.exists(folder.resolve("panascope-out/metrics.json"))
                && Files.exists(folder.resolve("panascope-out/l0_histogram.html")));
        assertTrue(result.out.contains("Top 0th token. ") && result.out.contains("Token: | Mary|"), result.out);
        assertFalse(result.out.contains("WARNING") || result.out.contains("\r"), result.out);
    }

    /** PANASCOPE_SHIM takes the place of the jar's shim, and is compared with libtorch as that one is. */
    @Test
    void aShimThatIsNamedIsUsedOrRefused() throws Exception {
        Path own = Files.createDirectories(folder.resolve("shim")).resolve("libpanascope.so");
        Path built = Path.of("target/native/linux-x86_64");
        Map<String, String> environment = Map.of("PANASCOPE_SHIM", own.toString());
        Result missing = run(environment, thisJava(), "doctor");
        assertEquals(1, missing.status, missing.out);
        assertTrue(missing.out.contains("PANASCOPE_SHIM=" + own + " is no file"), missing.out);

        Files.copy(built.resolve("libpanascope.so"), own);
        Result alone = run(environment, thisJava(), "doctor");
        assertEquals(1, alone.status, alone.out);
        assertTrue(alone.out.contains("has no shim.properties beside it"), alone.out);

        String properties = Files.readString(built.resolve("shim.properties"));
        Path beside = Files.writeString(own.resolveSibling("shim.properties"), properties);
        Result used = run(environment, thisJava(), "doctor");
        assertEquals(0, used.status, used.out);
        assertTrue(used.out.contains("shim " + own), used.out);

        String older =
                properties.replaceFirst("version=.*", "version=1.2.3").replaceFirst("source=.*", "source=default");
        Files.writeString(beside, older);
        Result another = run(environment, thisJava(), "doctor");
        assertEquals(1, another.status, another.out);
        assertTrue(another.out.contains("1.2.3"), another.out);
    }

    /** As LibTorch finds it: an empty variable says nothing. */
    private static Path cacheOfThisMachine() {
        String own = System.getenv("PANASCOPE_CACHE");
        String shared = System.getenv("XDG_CACHE_HOME");
        if (own != null && !own.isEmpty()) return Path.of(own);
        return Path.of(
                shared != null && !shared.isEmpty() ? shared : System.getProperty("user.home") + "/.cache",
                "panascope");
    }

    /**
     * Its JVM's options and its archive of classes are there to make it quick, and are not seen: not where the archive
     * is missing, cut short, or no archive.
     */
    @Test
    void aPromptPrintsTheSameHoweverItIsStarted() throws Exception {
        Path real = cacheOfThisMachine();
        Path cache = Files.createDirectories(folder.resolve("cache"));
        Path torch = cache.resolve("libtorch");
        Files.createSymbolicLink(torch, Files.createDirectories(real.resolve("libtorch")));
        Map<String, String> environment = Map.of("PANASCOPE_CACHE", cache.toString());
        String[] command = {"prompt", "--prompt", "The cat sat on the", "--answer", " mat"};
        Result plain = run(
                Map.of("PANASCOPE_CACHE", cache.toString(), "JAVA_TOOL_OPTIONS", "-Dsome.option=1"),
                thisJava(),
                command);
        assertEquals(0, plain.status, plain.out);
        assertEquals(0, archives(cache).size(), "options of one's own are kept to");
        String expected = plain.out.replaceFirst("Picked up JAVA_TOOL_OPTIONS.*\n", "");
        assertEquals(new Result(0, expected), run(environment, thisJava(), command), "without an archive");
        Path archive = archives(cache).getFirst();
        assertEquals(new Result(0, expected), run(environment, thisJava(), command), "with one");
        byte[] whole = Files.readAllBytes(archive);
        for (byte[] broken : List.of(new byte[0], new byte[whole.length], Arrays.copyOf(whole, whole.length / 2))) {
            Files.write(archive, broken);
            assertEquals(new Result(0, expected), run(environment, thisJava(), command), "cut to " + broken.length);
            assertEquals(whole.length, Files.size(archive), whole.length / 10.0, "made anew");
        }
        assertEquals(2, run(environment, thisJava(), "prompt", "--top-k", "0").status);
        Files.delete(torch);
    }

    private static List<Path> archives(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".jsa")).toList();
        }
    }

    /**
     * The page and the JSON of a run that was killed at any moment and gone on with are those of one that was not; so
     * are those of two halves merged.
     */
    @Test
    void aKilledRunGoesOnToTheSameBytes() throws Exception {
        List<String> command = List.of(
                "dashboard",
                "--quiet",
                "--rows",
                "96",
                "--shard-rows",
                "4",
                "--features",
                "0-5,748",
                "--json",
                "d.json",
                "--out",
                "page.html",
                "--state");
        String[] whole = Stream.concat(command.stream(), Stream.of("whole")).toArray(String[]::new);
        long start = System.nanoTime();
        Result first = run(thisJava(), whole);
        long took = (System.nanoTime() - start) / 1_000_000;
        assertEquals(0, first.status, first.out);
        byte[] page = Files.readAllBytes(folder.resolve("page.html"));
        byte[] json = Files.readAllBytes(folder.resolve("d.json"));
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        int kills = Integer.getInteger("panascope.kills", 4);
        int inTheMiddle = 0;
        for (int i = 0; i < kills; i++) {
            String[] again =
                    Stream.concat(command.stream(), Stream.of("killed" + i)).toArray(String[]::new);
            List<String> line = new ArrayList<>(List.of(thisJava(), "-jar", JAR.toString()));
            line.addAll(Arrays.asList(again));
            Process process = new ProcessBuilder(line)
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
            Thread.sleep((long) (took * (0.2 + 0.8 * random.nextDouble())));
            if (process.isAlive()) inTheMiddle++;
            process.destroyForcibly().waitFor();
            Files.deleteIfExists(folder.resolve("page.html"));
            Files.deleteIfExists(folder.resolve("d.json"));
            Result resumed = run(thisJava(), again);
            assertEquals(0, resumed.status, resumed.out);
            Assertions.assertArrayEquals(
                    page, Files.readAllBytes(folder.resolve("page.html")), "seed " + seed + ", kill " + i);
            Assertions.assertArrayEquals(
                    json, Files.readAllBytes(folder.resolve("d.json")), "seed " + seed + ", kill " + i);
        }
        assertTrue(inTheMiddle > 0, "every run had ended before it was killed");
        System.out.println("killed " + inTheMiddle + " of " + kills + " runs in the middle; each gave the same bytes");
        for (String half : List.of("0-49", "50-95"))
            assertEquals(
                    0,
                    run(
                                    thisJava(),
                                    "dashboard",
                                    "--quiet",
                                    "--rows",
                                    half,
                                    "--features",
                                    "0-5,748",
                                    "--state",
                                    "half" + half,
                                    "--out",
                                    "half.html")
                            .status);
        assertEquals(0, run(thisJava(), "merge", "merged", "half50-95", "half0-49").status);
        String[] merged = Stream.concat(command.stream(), Stream.of("merged")).toArray(String[]::new);
        assertEquals(0, run(thisJava(), merged).status);
        Assertions.assertArrayEquals(page, Files.readAllBytes(folder.resolve("page.html")), "merged");
    }

    /**
     * A native library belongs to no class loader here: two copies of the jar work in one JVM, one after the other's
     * end too.
     */
    @Test
    void twoClassLoadersUseItAtOnce() throws Exception {
        List<URL> jars = new ArrayList<>();
        try (var all = Files.walk(Path.of("target"), 2)) {
            for (Path jar : all.filter(file -> file.toString().matches("target/(panascope-[0-9.]+\\.jar|lib/.*\\.jar)"))
                    .toList()) jars.add(jar.toUri().toURL());
        }
        try (var first = new URLClassLoader(jars.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
            String text = generate(first);
            try (var second = new URLClassLoader(jars.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
                assertFalse(first.loadClass("io.github.panascope.torch.Tensor")
                        == second.loadClass("io.github.panascope.torch.Tensor"));
                assertEquals(text, generate(second));
            }
            assertEquals(text, generate(first));
        }
    }

    /** With a hook, so that native code calls back into the loader's classes. */
    private static String generate(ClassLoader loader) throws Exception {
        Class<?> scopes = loader.loadClass("io.github.panascope.torch.TensorScope");
        Class<?> models = loader.loadClass("io.github.panascope.lens.HookedTransformer");
        Class<?> hooks = loader.loadClass("io.github.panascope.lens.Hooks");
        Class<?> edits = loader.loadClass("io.github.panascope.lens.Edits");
        Class<?> hook = loader.loadClass("io.github.panascope.lens.Hook");
        try (AutoCloseable _ = (AutoCloseable) scopes.getMethod("open").invoke(null);
                AutoCloseable model = (AutoCloseable) models.getMethod("fromPretrained", String.class)
                        .invoke(null, Path.of("src/demo/bundle/model").toString())) {
            Object halved = hooks.getMethod("at", String.class, hook)
                    .invoke(
                            null,
                            "blocks.0.hook_mlp_out",
                            edits.getMethod("scale", double.class).invoke(null, 0.5));
            Object view = models.getMethod("with", hooks).invoke(model, halved);
            Object generation = models.getMethod("generate", String.class).invoke(view, "Once upon a time");
            String text = (String) generation.getClass().getMethod("text").invoke(generation);
            assertTrue(text.startsWith("Once upon a time"), text);
            return text;
        }
    }

    /** Libraries that unpack native code leave none behind, though the process has no time to delete it. */
    @Test
    void aKilledTutorialLeavesNoTemporaryFile() throws Exception {
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        Process process = new ProcessBuilder(
                        thisJava(), "-Djava.io.tmpdir=" + temporary, "-jar", JAR.toString(), "tutorial")
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .start();
        try (var lines = process.inputReader()) {
            assertTrue(lines.lines().anyMatch(line -> line.startsWith("Tokenized ")), "the texts were read");
            process.destroyForcibly().waitFor();
        }
        try (Stream<Path> left = Files.list(temporary)) {
            assertEquals(List.of(), left.toList());
        }
    }

    /** From a hub to a machine without a network: nothing is asked for twice, and offline nothing is asked at all. */
    @Test
    void whatIsFetchedLoadsOffline() throws Exception {
        Golden golden = Golden.standardA();
        String sae = "gpt2-small-res-jb/blocks.2.hook_resid_pre";
        try (FakeHub hub = new FakeHub()) {
            for (String file : List.of("config.json", "model.safetensors", "vocab.json", "merges.txt"))
                hub.large(
                        "/gpt2/resolve/main/" + file,
                        Files.readAllBytes(golden.model().resolve(file)));
            Path files = golden.folder()
                    .resolve("hub/models--jbloom--GPT2-Small-SAEs-Reformatted/snapshots")
                    .resolve(golden.model().getFileName())
                    .resolve("blocks.2.hook_resid_pre");
            for (String file : List.of("cfg.json", "sae_weights.safetensors", "sparsity.safetensors")) {
                hub.large(
                        "/jbloom/GPT2-Small-SAEs-Reformatted/resolve/main/blocks.2.hook_resid_pre/" + file,
                        Files.readAllBytes(files.resolve(file)));
            }
            hub.large(
                    "/datasets/some/texts/resolve/main/data/train-00000-of-00001.parquet",
                    Files.readAllBytes(golden.dataset()));
            Map<String, String> environment =
                    Map.of("HF_HOME", folder.resolve("hf").toString(), "HF_ENDPOINT", hub.endpoint());
            String[] fetch = {"fetch", "--model", "gpt2-small", "--sae", sae, "--dataset", "some/texts"};
            Result result = run(environment, thisJava(), fetch);
            assertEquals(0, result.status, result.out);
            assertTrue(
                    result.out.contains("model gpt2-small: 4 files, ")
                            && result.out.contains("Downloading model jbloom/GPT2-Small-SAEs-Reformatted: 3 files, ")
                            && result.out.contains("SAE " + sae + ": 2 files, ")
                            && result.out.contains("dataset some/texts: 1 file, "),
                    result.out);
            int requests = hub.requests.size();
            result = run(environment, thisJava(), fetch);
            assertEquals(0, result.status, result.out);
            result = run(
                    Map.of(
                            "HF_HOME",
                            folder.resolve("hf").toString(),
                            "HF_ENDPOINT",
                            hub.endpoint(),
                            "HF_HUB_OFFLINE",
                            "1"),
                    thisJava(),
                    "tutorial",
                    "--model",
                    "gpt2-small",
                    "--sae",
                    sae,
                    "--dataset",
                    "some/texts",
                    "--tokenization",
                    "whitespace-chunks");
            assertEquals(0, result.status, result.out);
            assertEquals(requests, hub.requests.size());
            JsonNode metrics =
                    JsonMapper.shared().readTree(Files.readString(folder.resolve("panascope-out/metrics.json")));
            assertEquals(
                    golden.number("ce_reconstr"), metrics.get("ce_reconstr").doubleValue(), 1e-4);
        }
    }

    @Test
    void badInputIsASentenceAndStatusTwo() throws Exception {
        Result result = run(thisJava(), "tutorial", "--dataset", "nothing.txt");
        assertEquals(new Result(2, "panascope: dataset nothing.txt does not exist.\n"), result);
        try (var files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void anOlderJavaFindsANewerOne() throws Exception {
        Process which = new ProcessBuilder("java", "-XshowSettings:properties", "-version")
                .redirectErrorStream(true)
                .start();
        String settings = new String(which.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assumeTrue(
                settings.matches("(?s).*java.specification.version = (1[1-9]|2[01])\\s.*"),
                "the java on the PATH is new enough, or too old to start at all");
        Result result = run("java", "doctor");
        assertTrue(
                result.out.contains("a matrix product is right") || result.out.contains("Java 22 or newer is needed"),
                result.out);
    }

    @Test
    void theLibrarysJarHasNoCommandLineNoNotebookAndNoDemo() throws IOException {
        Path library;
        try (var files = Files.list(JAR.getParent())) {
            library = files.filter(file -> file.getFileName().toString().matches("panascope-[0-9.]+\\.jar"))
                    .findFirst()
                    .orElseThrow();
        }
        try (JarFile jar = new JarFile(library.toFile())) {
            List<String> names = jar.stream().map(entry -> entry.getName()).toList();
            assertTrue(names.contains("native/linux-x86_64/libpanascope.so")
                    && names.contains("io/github/panascope/torch/Tensor.class"));
            assertTrue(
                    names.stream().noneMatch(name -> name.contains("/cli/") || name.startsWith("demo/")),
                    names::toString);
            assertTrue(
                    names.stream().noneMatch(name -> name.contains("/notebook/") || name.contains("jjava")),
                    names::toString);
        }
    }
}
