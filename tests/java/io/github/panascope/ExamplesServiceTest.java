package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.net.ConnectException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The HTTP service of src/demo/examples: what it answers, its limits, how it stops, and how it holds under load, for
 * {@code -Dpanascope.load.seconds} (3 by default) with {@code -Dpanascope.load.clients} (200 by default).
 */
@ExtendWith(LeakCheck.class)
class ExamplesServiceTest {
    private static final int SECONDS = Integer.getInteger("panascope.load.seconds", 3);
    private static final int CLIENTS = Integer.getInteger("panascope.load.clients", 200);
    private static final int WORKERS = Runtime.getRuntime().availableProcessors();
    private static final String HOOK = "blocks.2.hook_resid_pre";
    /** Far below what one lost batch in a hundred would come to. */
    private static final long GROWTH_KB = 64 * 1024;

    private static final List<String> TEXTS = List.of(
            "When John and Mary went to the shops, John gave the bag to Mary.",
            "The capital of Sweden is Stockholm.",
            "Once upon a time, there was a small girl named Kate. Kate had a red dog. The dog loved to eat bread.",
            "Yesterday");

    @TempDir
    private static Path folder;

    private static HookedTransformer plain;
    private static Sae sae;
    private static int threadsBefore;

    /** What runs wait for, and how many are in progress: now, and at most so far. */
    private volatile CountDownLatch gate;

    private final AtomicInteger running = new AtomicInteger();
    /** The texts of the runs in progress. */
    private final AtomicInteger rows = new AtomicInteger();

    private final AtomicInteger most = new AtomicInteger();
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private AutoCloseable service;
    private URI address;

    @BeforeAll
    static void load() throws IOException {
        threadsBefore = Torch.threads();
        Torch.setThreads(1);
        Examples.compile();
        plain = HookedTransformer.fromPretrained(Examples.DEMO.model());
        sae = Sae.fromPretrained(Examples.DEMO.sae());
    }

    @AfterAll
    static void unload() {
        sae.close();
        plain.close();
        Torch.setThreads(threadsBefore);
    }

    @BeforeEach
    void start() throws Exception {
        gate = new CountDownLatch(0);
        Hooks counting = Hooks.at("hook_embed", (embedded, _) -> {
                    rows.addAndGet((int) embedded.size(0));
                    most.accumulateAndGet(running.incrementAndGet(), Math::max);
                    gate.await();
                    return null;
                })
                .and(HOOK, (activation, _) -> {
                    rows.addAndGet((int) -activation.size(0));
                    running.decrementAndGet();
                    return null;
                });
        service = Examples.instance("FeatureService", plain.with(counting), sae, 0);
        var port = service.getClass().getDeclaredMethod("port");
        port.setAccessible(true);
        address = URI.create("http://127.0.0.1:" + port.invoke(service) + "/features");
    }

    @AfterEach
    void stop() throws Exception {
        gate.countDown();
        service.close();
        client.close();
        assertEquals(0, running.get(), "no run is in progress");
        assertTrue(most.get() <= WORKERS, most + " runs at once");
    }

    private HttpRequest request(String text) {
        return HttpRequest.newBuilder(address)
                .POST(HttpRequest.BodyPublishers.ofString(text))
                .build();
    }

    private HttpResponse<String> post(String text) throws Exception {
        return client.send(request(text), HttpResponse.BodyHandlers.ofString());
    }

    private static JsonNode json(HttpResponse<String> response) {
        return JsonMapper.shared().readTree(response.body());
    }

    /** Compares an answer with the features of the text by itself, from the SAE's weights. */
    private static void assertRight(String text, JsonNode answer) {
        try (var _ = TensorScope.open()) {
            Tensor tokens = plain.toTokens(text);
            var run = plain.forward(tokens).caching(HOOK);
            run.stopAtLayer(3);
            Tensor features = run.cache()
                    .get(HOOK)
                    .sub(sae.weight("b_dec"))
                    .matmul(sae.weight("W_enc"))
                    .add(sae.weight("b_enc"))
                    .relu();
            List<String> words = plain.toStrTokens(tokens);
            assertEquals(words.size(), answer.size());
            for (int i = 0; i < words.size(); i++) {
                float[] all = features.select(0, 0).select(0, i).toFloats();
                float[] expected = all.clone();
                Arrays.sort(expected);
                JsonNode token = answer.get(i);
                assertEquals(words.get(i), token.get("token").stringValue());
                long active = IntStream.range(0, all.length)
                        .filter(feature -> all[feature] > 0)
                        .count();
                assertEquals(Math.min(10, active), token.get("features").size(), words.get(i));
                for (int j = 0; j < token.get("features").size(); j++) {
                    double activation = token.get("activations").get(j).doubleValue();
                    assertEquals(expected[all.length - 1 - j], activation, 1e-4);
                    assertEquals(all[token.get("features").get(j).intValue()], activation, 1e-4);
                }
            }
        }
    }

    @Test
    void itAnswersWithTheStrongestFeatures() throws Exception {
        for (String text : TEXTS) {
            HttpResponse<String> response = post(text);
            assertEquals(200, response.statusCode(), response.body());
            assertRight(text, json(response));
        }
        assertEquals(1, json(post("")).size());
        assertRight("Mary", JsonMapper.shared().readTree(Examples.onPage("FeatureService", "json")));
    }

    @Test
    void textsThatAreTooLongAreRefused() throws Exception {
        assertEquals(
                405,
                client.send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString())
                        .statusCode());
        assertEquals(
                "the text has more than 8192 bytes",
                json(post("a".repeat(8193))).stringValue());
        assertEquals(
                "the text has more than 127 tokens",
                json(post(" a".repeat(128))).stringValue());
        assertEquals(413, post(" a".repeat(128)).statusCode());
        assertEquals(128, json(post(" a".repeat(127))).size());
    }

    /** Sends texts on virtual threads at once. */
    private List<Future<HttpResponse<String>>> send(ExecutorService threads, int count) {
        return IntStream.range(0, count)
                .mapToObj(i -> threads.submit(() -> post(TEXTS.get(i % TEXTS.size()))))
                .toList();
    }

    /** Waits until the workers hold what they can take; the first of a batch may be alone. */
    private void untilAllWorkersWait() throws InterruptedException {
        while (running.get() < WORKERS) Thread.sleep(5);
    }

    @Test
    void theQueueIsLimitedAndWhatItHoldsIsAnsweredWhenTheServiceStops() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            gate = new CountDownLatch(1);
            List<Future<HttpResponse<String>>> sent = new ArrayList<>(send(threads, 8 * WORKERS));
            untilAllWorkersWait();
            sent.addAll(send(threads, 512));
            // All others are answered: what the service has not seen yet is cut off when it stops.
            while (sent.stream().filter(Future::isDone).count() < sent.size() - 256 - rows.get()) Thread.sleep(5);
            for (var each : sent)
                if (each.isDone()) {
                    assertEquals(503, each.get().statusCode());
                    assertEquals(
                            "too many requests are waiting", json(each.get()).stringValue());
                }
            int held = rows.get();
            Future<?> closing = threads.submit(() -> {
                service.close();
                return null;
            });
            while (!refusesConnections()) Thread.sleep(5);
            assertFalse(closing.isDone());
            gate.countDown();
            closing.get(30, TimeUnit.SECONDS);
            Map<Integer, Integer> statuses = new TreeMap<>();
            for (var each : sent) statuses.merge(each.get().statusCode(), 1, Integer::sum);
            assertEquals(Map.of(200, 256 + held, 503, sent.size() - 256 - held), statuses);
        }
    }

    @Test
    void aRequestThatWaitsTooLongIsRefusedAndTheNextOneIsAnswered() throws Exception {
        assumeTrue(SECONDS >= 60, "because a request that waits too long takes 10 s: -Dpanascope.load.seconds=60");
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            gate = new CountDownLatch(1);
            for (var each : send(threads, 100)) {
                assertEquals(503, each.get().statusCode());
                assertEquals("there are too many requests", json(each.get()).stringValue());
            }
            gate.countDown();
            assertRight("Yesterday", json(post("Yesterday")));
        }
    }

    private boolean refusesConnections() throws IOException {
        try (Socket _ = new Socket("127.0.0.1", address.getPort())) {
            return false;
        } catch (ConnectException e) {
            return true;
        }
    }

    /** A response of the service under load. */
    private record Sample(long nanos, String text, HttpResponse<String> response) {}

    /** Sends one text after the other from each of the clients, until the time is over. */
    private List<Sample> load(int seconds) throws Exception {
        Queue<Sample> samples = new ConcurrentLinkedQueue<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> clients = new ArrayList<>();
            for (int i = 0; i < CLIENTS; i++) {
                int first = i;
                clients.add(threads.submit(() -> {
                    for (int next = first; System.nanoTime() < end; next++) {
                        String text = TEXTS.get(next % TEXTS.size());
                        long before = System.nanoTime();
                        HttpResponse<String> response = post(text);
                        samples.add(new Sample(System.nanoTime() - before, text, response));
                    }
                    return null;
                }));
            }
            for (Future<?> each : clients) each.get();
        }
        return List.copyOf(samples);
    }

    private static void print(String when, List<Sample> samples, int seconds, long[] memory) {
        long[] sorted = samples.stream().mapToLong(Sample::nanos).sorted().toArray();
        long answered = samples.stream()
                .filter(each -> each.response().statusCode() == 200)
                .count();
        System.out.printf(
                "%s: %d clients, %d s: %.0f answers/s, %d refused; p50 %d ms, p90 %d ms, p99 %d ms, max %d ms;"
                        + " %d MB resident, %d threads%n",
                when,
                CLIENTS,
                seconds,
                (double) answered / seconds,
                sorted.length - answered,
                sorted[sorted.length / 2] / 1_000_000,
                sorted[sorted.length * 9 / 10] / 1_000_000,
                sorted[sorted.length * 99 / 100] / 1_000_000,
                sorted[sorted.length - 1] / 1_000_000,
                memory[0] / 1024,
                memory[1]);
    }

    /** Returns the resident memory of a process in kB, and the number of its threads. */
    private static long[] memory(Process process) throws IOException {
        long[] found = new long[2];
        for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/status"))) {
            if (line.startsWith("VmRSS")) found[0] = Long.parseLong(line.replaceAll("[^0-9]", ""));
            if (line.startsWith("Threads")) found[1] = Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
        return found;
    }

    /**
     * The service as its header says, but in a folder without sources, and with a heap that is all resident from the
     * start, so that growth is native.
     */
    private Process process() throws IOException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-Xms256m",
                        "-Xmx256m",
                        "-XX:+AlwaysPreTouch",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Examples.FOLDER
                                .resolve("FeatureService.java")
                                .toAbsolutePath()
                                .toString(),
                        "0")
                .directory(folder.toFile())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        address = URI.create(process.inputReader().readLine());
        return process;
    }

    /** In a process of its own, which is then ended by a signal while requests are in progress. */
    @Test
    void underLoadItStaysAsItIsAndEndsInOrder() throws Exception {
        Process process = process();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            load(Math.max(2, SECONDS / 5)); // compiles what is hot
            List<Sample> first = load(SECONDS);
            long[] before = memory(process);
            print("first", first, SECONDS, before);
            List<Sample> second = load(SECONDS);
            long[] after = memory(process);
            print("second", second, SECONDS, after);
            assertTrue(after[0] - before[0] < GROWTH_KB, "grew by " + (after[0] - before[0]) + " kB");
            assertTrue(after[1] <= before[1] + 2, before[1] + " threads became " + after[1]);
            List<Sample> all = new ArrayList<>(first);
            all.addAll(second);
            assertEquals(
                    List.of(),
                    all.stream()
                            .filter(each -> each.response().statusCode() != 200)
                            .toList());
            for (int i = 0; i < all.size(); i += Math.max(1, all.size() / 50))
                assertRight(all.get(i).text(), json(all.get(i).response()));

            List<Future<HttpResponse<String>>> last = send(threads, 64);
            while (last.stream().noneMatch(Future::isDone)) Thread.sleep(1);
            process.toHandle().destroy(); // Process.destroy would close its output too
            assertTrue(process.waitFor(30, TimeUnit.SECONDS));
            assertEquals(128 + 15, process.exitValue());
            assertEquals(
                    "stopped, with 0 native handles open", process.inputReader().readLine());
            int answered = 0;
            for (var each : last) if (isAnswered(each)) answered++;
            assertTrue(answered >= 1, "the first was answered before the signal");
        } finally {
            process.destroyForcibly();
        }
    }

    /** Returns whether a request was answered; one whose connection was not taken any more was not. */
    private static boolean isAnswered(Future<HttpResponse<String>> response) throws InterruptedException {
        try {
            assertEquals(200, response.get().statusCode());
            return true;
        } catch (ExecutionException e) {
            assertInstanceOf(IOException.class, e.getCause());
            return false;
        }
    }
}
