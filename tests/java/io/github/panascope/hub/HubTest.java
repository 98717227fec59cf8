package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.data.Dataset;
import io.github.panascope.lens.HookedTransformer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.KeyStore;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The hub cache and downloads into it, against HTTP servers in this process that do all that servers do. */
class HubTest {
    private static final HubRepo REPO = HubRepo.model("owner/name");
    private static final String PATH = "/owner/name/resolve/main/";
    private static final HubHttp.Patience SHORT = new HubHttp.Patience(
            3, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofMillis(400), Duration.ofMillis(400));
    /** For one handshake inside the other on a machine that has much else to do. */
    private static final HubHttp.Patience CALM = new HubHttp.Patience(
            3, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofSeconds(20), Duration.ofSeconds(20));

    private final byte[] weights = new byte[300_000];

    @TempDir
    private Path cache;

    private FakeHub server;

    @BeforeEach
    void start() throws IOException {
        new Random(1).nextBytes(weights);
        server = new FakeHub()
                .large(PATH + "big.safetensors", weights)
                .small(PATH + "config.json", "{}")
                .small(PATH + "with space/é.txt", "x")
                .small(PATH + "empty.txt", "");
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Hub hub(String... more) {
        Map<String, String> environment = new HashMap<>(Map.of(
                "HF_HUB_CACHE",
                cache.toString(),
                "HF_HOME",
                cache.resolve("home").toString(),
                "HF_ENDPOINT",
                server.endpoint() + "/"));
        for (int i = 0; i < more.length; i += 2) environment.put(more[i], more[i + 1]);
        return Hub.of(environment).patient(SHORT);
    }

    private Path blob() {
        return cache.resolve("models--owner--name/blobs").resolve(FakeHub.sha256(weights));
    }

    private Path part() {
        return blob().resolveSibling(blob().getFileName() + ".panascope.incomplete");
    }

    private void assertFetched() throws IOException {
        assertArrayEquals(weights, Files.readAllBytes(hub().file(REPO, "big.safetensors")));
        assertFalse(Files.exists(part()));
    }

    // ------------------------------------------------------------------------------------------------- the layout

    @Test
    void aFileIsFetchedOnceIntoHuggingFacesLayout() throws IOException {
        Path file = hub("HF_TOKEN", "secret-token").file(REPO, "big.safetensors");
        assertEquals(cache.resolve("models--owner--name/snapshots/" + FakeHub.COMMIT + "/big.safetensors"), file);
        assertTrue(Files.isSymbolicLink(file));
        assertFalse(Files.readSymbolicLink(file).isAbsolute(), "a cache can be moved");
        assertEquals(blob().toRealPath(), file.toRealPath());
        assertEquals(FakeHub.COMMIT, Files.readString(cache.resolve("models--owner--name/refs/main")));
        assertArrayEquals(weights, Files.readAllBytes(file));
        assertTrue(server.hubTokens.stream().allMatch("Bearer secret-token"::equals), server.hubTokens.toString());
        assertEquals(List.of("null"), server.storageTokens, "the token must not reach another host");
        int asked = server.requests.size();
        assertEquals(file, hub().file(REPO, "big.safetensors"));
        assertEquals(file, hub("HF_HUB_OFFLINE", "1").file(REPO, "big.safetensors"));
        assertEquals(asked, server.requests.size(), "no request for what is there");
        assertEquals("x", Files.readString(hub().file(REPO, "with space/é.txt")));
        assertEquals("", Files.readString(hub().file(REPO, "empty.txt")));
        assertTrue(Files.exists(cache.resolve("models--owner--name/blobs")
                .resolve(FakeHub.gitBlob("{}".getBytes()))
                .resolveSibling(hub().file(REPO, "config.json").toRealPath().getFileName())));
    }

    @Test
    void whatIsNotThereIsAskedForOnce() {
        assertEquals(Optional.empty(), hub().optionalFile(REPO, "merges.txt"));
        int asked = server.requests.size();
        assertEquals(Optional.empty(), hub().optionalFile(REPO, "merges.txt"));
        assertEquals(asked, server.requests.size());
        hub().file(REPO, "config.json");
        assertEquals(Optional.empty(), hub("HF_HUB_OFFLINE", "1").optionalFile(REPO, "vocab.json"));
    }

    @Test
    void aRevisionIsABranchOrACommit() throws IOException {
        server.small("/owner/name/resolve/checkpoint-400000/config.json", "old")
                .small("/owner/name/resolve/refs/convert/parquet/config.json", "never");
        assertEquals("old", Files.readString(hub().file(HubRepo.model("owner/name@checkpoint-400000"), "config.json")));
        assertEquals(FakeHub.COMMIT, Files.readString(cache.resolve("models--owner--name/refs/checkpoint-400000")));
        assertEquals(
                "old",
                Files.readString(
                        hub("HF_HUB_OFFLINE", "1").file(HubRepo.model("owner/name@" + FakeHub.COMMIT), "config.json")));
        assertMessage(
                "has no revision 'nowhere'", () -> hub().file(HubRepo.model("owner/name@nowhere"), "config.json"));
    }

    private static List<String> parquet(List<String> names) {
        return names.stream().filter(name -> name.endsWith(".parquet")).toList();
    }

    @Test
    void namesComeFromTheCacheUnlessPartsAreMissing() throws IOException {
        server.small("/datasets/o/t/resolve/main/data/train-00000-of-00002.parquet", "a")
                .small("/datasets/o/t/resolve/main/data/train-00001-of-00002.parquet", "b");
        HubRepo texts = HubRepo.dataset("o/t");
        hub().file(texts, "data/train-00000-of-00002.parquet");
        assertMessage(
                "data/train-00001-of-00002.parquet is missing",
                () -> hub("HF_HUB_OFFLINE", "1").names(texts, HubTest::parquet));
        List<String> names = hub().names(texts, HubTest::parquet);
        assertEquals(List.of("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"), names);
        assertEquals("b", Files.readString(hub().files(texts, names).get(1)));
        assertEquals(names, hub("HF_HUB_OFFLINE", "1").names(texts, HubTest::parquet));
    }

    // ------------------------------------------------------------------------------------------------- what servers do

    @Test
    void aCutDownloadGoesOnWhereItWasCut() throws IOException {
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.cutAfter(100_000), FakeHub.cutAfter(50_000)));
        Map<String, Long> told = new ConcurrentHashMap<>();
        Path file = hub().reporting((name, done, total) -> {
                    assertEquals(weights.length, total);
                    told.merge(name, done, Math::max);
                })
                .file(REPO, "big.safetensors");
        assertArrayEquals(weights, Files.readAllBytes(file));
        assertEquals(Map.of("big.safetensors", 300_000L), told);
        List<String> asked = server.requests.stream()
                .filter(request -> request.startsWith("storage"))
                .toList();
        assertEquals(3, asked.size());
        assertEquals("storage all", asked.get(0));
        assertTrue(asked.get(2).matches("storage bytes=1[0-9]{5}-"), asked.toString());
    }

    @Test
    void anotherRunGoesOnWhereThisOneGaveUp() throws IOException {
        server.storageMishaps.addAll(FakeHub.queue(
                FakeHub.cutAfter(100_000),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500),
                FakeHub.status(500)));
        InputException e = assertThrows(InputException.class, () -> hub().file(REPO, "big.safetensors"));
        assertTrue(e.getMessage().contains("are kept, and the next run goes on from there"), e.getMessage());
        assertTrue(Files.exists(part()));
        assertFalse(Files.exists(cache.resolve("models--owner--name/snapshots")), "nothing that looks whole");
        server.storageMishaps.clear();
        long kept = Files.size(part());
        assertFetched();
        assertEquals("storage bytes=" + kept + "-", server.requests.getLast());
    }

    @Test
    void aStalledDownloadCountsAsCut() throws IOException {
        server.storageMishaps.add(FakeHub.stallAfter(100_000, 3000));
        assertFetched();
    }

    @Test
    void aBusyServerIsAskedAgainAsLateAsItSays() throws IOException {
        server.hubMishaps.addAll(FakeHub.queue(FakeHub.status(429, "Retry-After", "0"), FakeHub.status(503)));
        server.storageMishaps.add(FakeHub.status(500, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"));
        assertFetched();
        long start = System.nanoTime();
        server.hubMishaps.add(FakeHub.status(429, "Retry-After", "3600"));
        hub().file(REPO, "config.json");
        long waited = Duration.ofNanos(System.nanoTime() - start).toMillis();
        assertTrue(waited >= 300 && waited < 3000, "waited " + waited + " ms, where the longest pause is 300 ms");
    }

    @Test
    void aServerThatStaysBusyIsOneSentence() {
        for (int i = 0; i < 5; i++) server.hubMishaps.add(FakeHub.status(429));
        assertMessage("too many requests: wait a while, or set HF_TOKEN", () -> hub().file(REPO, "config.json"));
    }

    /**
     * The hub has answered which file it is, so that a caller that asks for a tokenizer must not conclude that there
     * may be none.
     */
    @Test
    void aHubThatFailsWhileItSendsIsNotUnreachable() {
        server.storageMishaps.add(FakeHub.sends(new byte[weights.length]));
        assertEquals(
                InputException.class,
                assertThrows(InputException.class, () -> hub().file(REPO, "big.safetensors"))
                        .getClass());
        for (int i = 0; i < 20; i++) server.storageMishaps.add(FakeHub.status(503));
        assertEquals(
                InputException.class,
                assertThrows(InputException.class, () -> hub().file(REPO, "big.safetensors"))
                        .getClass());
    }

    @Test
    void damageIsNoticedAndLeavesNothing() throws IOException {
        byte[] other = weights.clone();
        other[1000]++;
        server.storageMishaps.add(FakeHub.sends(other));
        assertMessage("is damaged: its SHA-256 is", () -> hub().file(REPO, "big.safetensors"));
        server.hubMishaps.addAll(FakeHub.queue((exchange, content) -> {
            exchange.getResponseHeaders().add("X-Repo-Commit", FakeHub.COMMIT);
            exchange.getResponseHeaders().add("ETag", "\"" + FakeHub.gitBlob("other".getBytes()) + "\"");
            FakeHub.send(exchange, content);
        }));
        assertMessage("is damaged: its git checksum is", () -> hub().file(REPO, "config.json"));
        try (var blobs = Files.list(cache.resolve("models--owner--name/blobs"))) {
            assertEquals(0, blobs.count());
        }
        assertFalse(Files.exists(cache.resolve("models--owner--name/snapshots")));
        assertFetched();
    }

    @Test
    void aDamagedPartOfAnEarlierRunIsThrownAway() throws IOException {
        Files.createDirectories(part().getParent());
        Files.write(part(), new byte[1000]);
        assertFetched();
        assertEquals(
                List.of("storage bytes=1000-", "storage all"),
                server.requests.stream()
                        .filter(request -> request.startsWith("storage"))
                        .toList());
    }

    @Test
    void aPartLongerThanTheFileAndARefusedRangeStartAnew() throws IOException {
        Files.createDirectories(part().getParent());
        Files.write(part(), new byte[weights.length + 5]);
        assertFetched();
        Files.delete(blob());
        Files.delete(cache.resolve("models--owner--name/snapshots/" + FakeHub.COMMIT + "/big.safetensors"));
        Files.write(part(), new byte[10]);
        server.storageMishaps.add(FakeHub.status(416));
        assertFetched();
    }

    @Test
    void aServerThatLiesAboutLengthsIsNotBelieved() throws IOException {
        byte[] more = Arrays.copyOf(weights, weights.length + 50_000);
        byte[] fewer = Arrays.copyOf(weights, 1000);
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.sends(more), FakeHub.sends(more), FakeHub.sends(more)));
        assertMessage(
                "the server sent more than the 300000 bytes that it announced",
                () -> hub().file(REPO, "big.safetensors"));
        server.storageMishaps.clear();
        Files.deleteIfExists(part());
        server.storageMishaps.add(FakeHub.sends(fewer));
        assertFetched();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gzip", "deflate"})
    void aServerThatPacksWhatItSendsIsUnderstood(String encoding) throws IOException {
        server.small(PATH + "long.json", "{\"a\": 1}".repeat(1000))
                .hubMishaps
                .addAll(FakeHub.queue(FakeHub.packed(encoding, null), FakeHub.packed(encoding, null)));
        assertEquals(8000, Files.size(hub().file(REPO, "long.json")));
        server.hubMishaps.add(FakeHub.packed(encoding, "[{\"type\":\"file\",\"path\":\"a.parquet\"}]".getBytes()));
        assertEquals(List.of("a.parquet"), hub().names(REPO, HubTest::parquet));
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.cutAfter(100_000), FakeHub.packed(encoding, weights)));
        assertFetched();
    }

    @Test
    void aPartOfAPackedFileIsNoneOfTheFile() throws IOException {
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.cutAfter(100_000), (exchange, content) -> {
            exchange.getResponseHeaders().add("Content-Encoding", "gzip");
            FakeHub.sendFrom(exchange, content, 100_000);
        }));
        assertFetched();
        for (int i = 0; i < 2; i++) {
            server.hubMishaps.add((exchange, content) -> FakeHub.send(
                    exchange,
                    content,
                    "Content-Encoding",
                    "secret",
                    "X-Repo-Commit",
                    FakeHub.COMMIT,
                    "ETag",
                    FakeHub.gitBlob(content)));
        }
        assertMessage(
                "packs what it sends as 'secret', though it was asked not to", () -> hub().file(REPO, "config.json"));
    }

    @Test
    void aListThatStopsComingIsNotWaitedFor() {
        for (int i = 0; i < 2; i++) server.hubMishaps.add(FakeHub.stallAfter(2, "[{\"type\"".getBytes(), 5000));
        server.hubMishaps.add(FakeHub.drips(20));
        long start = System.nanoTime();
        assertMessage("bytes came within 0.4 s", () -> hub().names(REPO, HubTest::parquet));
        assertTrue(System.nanoTime() - start < 4_000_000_000L, "waited " + (System.nanoTime() - start) / 1e9 + " s");
        assertEquals(3, server.requests.size(), server.requests.toString());
    }

    @Test
    void aFileThatDripsIsNotWaitedFor() {
        for (int i = 0; i < 5; i++) server.storageMishaps.add(FakeHub.drips(20));
        assertMessage("bytes came within 0.4 s", () -> hub().file(REPO, "big.safetensors"));
        assertEquals(
                3,
                server.requests.stream()
                        .filter(request -> request.startsWith("storage"))
                        .count(),
                server.requests.toString());
    }

    @Test
    void aListWithoutAnEndEnds() {
        for (String next : List.of("?recursive=true", "/api/models/owner/name/tree/main?recursive=true")) {
            for (int i = 0; i < 40; i++)
                server.hubMishaps.add((exchange, _) ->
                        FakeHub.send(exchange, "[]".getBytes(), "Link", "<" + next + ">; rel=\"next\""));
            assertMessage("its list of files has no end", () -> hub().names(REPO, HubTest::parquet));
            server.hubMishaps.clear();
        }
        for (int i = 0; i < 2000; i++)
            server.hubMishaps.add((exchange, _) -> FakeHub.send(
                    exchange, "[]".getBytes(), "Link", "<?cursor=" + server.requests.size() + ">; rel=\"next\""));
        assertMessage("its list of files has no end", () -> hub().names(REPO, HubTest::parquet));
    }

    @Test
    void aListInPagesIsReadToItsEnd() {
        server.hubMishaps.addAll(FakeHub.queue(
                (exchange, _) -> FakeHub.send(
                        exchange,
                        "[{\"type\":\"file\",\"path\":\"b.parquet\"}]".getBytes(),
                        "Link",
                        "<x?first>; rel=\"first\", <tree 2?a=b c>; title=x; rel=next"),
                (exchange, _) -> FakeHub.send(exchange, "[{\"type\":\"file\",\"path\":\"a.parquet\"}]".getBytes())));
        assertEquals(List.of("a.parquet", "b.parquet"), hub().names(REPO, HubTest::parquet));
        assertEquals("GET /api/models/owner/name/tree/tree 2", server.requests.getLast());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"error\":\"x\"}",
                "<html>",
                "",
                "3",
                "[{\"type\":\"file\"}]",
                "[{\"type\":\"file\",\"path\":{}}]"
            })
    void aListThatIsNoneIsOneSentence(String list) {
        server.hubMishaps.add((exchange, _) -> FakeHub.send(exchange, list.getBytes()));
        assertMessage("hub", () -> hub().names(REPO, HubTest::parquet));
    }

    @Test
    void moreFilesThanCanBeMeantAreRefusedBeforeTheFirst() {
        String many = IntStream.range(0, 1001)
                .mapToObj(i -> "{\"type\":\"file\",\"size\":5000000,\"path\":\"" + i + ".parquet\"}")
                .collect(Collectors.joining(",", "[", "]"));
        server.hubMishaps.add((exchange, _) -> FakeHub.send(exchange, many.getBytes()));
        assertMessage(
                "would be 1001 files (5.0 GB), and at most 1000 are fetched: take another split",
                () -> hub().names(REPO, HubTest::parquet));
        assertEquals(1, server.requests.size());
        server.hubMishaps.add((exchange, _) -> FakeHub.send(
                exchange,
                many.replace(",\"path\":\"0.parquet\"", ",\"path\":\"0.txt\"").getBytes()));
        List<String> told = new ArrayList<>();
        hub().reporting(new Hub.Progress() {
                    @Override
                    public void update(String file, long done, long total) {}

                    @Override
                    public void begin(String repo, int files, long bytes) {
                        told.add(repo + " " + files + " " + bytes);
                    }
                })
                .names(REPO, HubTest::parquet);
        assertEquals(List.of("model owner/name 1000 5000000000"), told);
    }

    @Test
    void whatIsRefusedIsAskedForOnce() {
        server.storageMishaps.add(FakeHub.status(403));
        assertMessage("the server answered with status 403", () -> hub().file(REPO, "big.safetensors"));
        assertEquals(1, server.storageTokens.size());
    }

    @Test
    void attemptsDoNotMultiply() {
        for (int i = 0; i < 40; i++) {
            server.storageMishaps.add(i % 2 == 0 ? FakeHub.status(503) : FakeHub.stallAfter(0, 1));
        }
        assertMessage("cannot be fetched", () -> hub().file(REPO, "big.safetensors"));
        assertEquals(
                3,
                server.requests.stream()
                        .filter(request -> request.startsWith("storage"))
                        .count(),
                server.requests.toString());
    }

    @Test
    void aChecksumInCapitalsIsCheckedToo() throws IOException {
        byte[] content = "right".getBytes();
        String etag = FakeHub.sha256("other".getBytes()).toUpperCase(Locale.ROOT);
        for (int i = 0; i < 2; i++)
            server.hubMishaps.add(
                    (exchange, _) -> FakeHub.send(exchange, content, "X-Repo-Commit", FakeHub.COMMIT, "ETag", etag));
        assertMessage("is damaged: its SHA-256 is", () -> hub().file(REPO, "config.json"));
        String right = FakeHub.sha256(content).toUpperCase(Locale.ROOT);
        for (int i = 0; i < 2; i++)
            server.hubMishaps.add(
                    (exchange, _) -> FakeHub.send(exchange, content, "X-Repo-Commit", FakeHub.COMMIT, "ETag", right));
        assertEquals("right", Files.readString(hub().file(REPO, "config.json")));
    }

    /** What an address should look like is one thing, and what servers send another. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "/a b/<c>|{d}`^\\?q=[x] y&z=%zz\"'",
                "/%E9/é?é",
                "//localhost:PORT/x y",
                "/100%",
                "/a\\b",
                "/a/../../b",
                "/x#a b",
                "?only=query"
            })
    void aRedirectIsQuotedWhereTheServerDidNot(String target) throws IOException {
        server.storageMishaps.add((exchange, content) -> FakeHub.status(
                        302,
                        "Location",
                        target.replace(
                                "PORT",
                                exchange.getHttpContext()
                                                .getServer()
                                                .getAddress()
                                                .getPort() + ""))
                .answer(exchange, content));
        server.storageMishaps.add(FakeHub.sends(weights));
        assertFetched();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "http://[bad",
                "http://127.0.0.1:99999/x",
                "http://:80/x",
                "http://a b/x",
                "http://",
                "https://x:y/"
            })
    void anAddressThatIsNoneIsOneSentence(String target) {
        server.storageMishaps.add(FakeHub.status(302, "Location", target));
        assertMessage(
                "the server points to '" + target + "', which is no address of the web",
                () -> hub().file(REPO, "big.safetensors"));
        server.hubMishaps.add(
                (exchange, _) -> FakeHub.send(exchange, "[]".getBytes(), "Link", "<" + target + ">; rel=\"next\""));
        assertMessage("which is no address of the web", () -> hub().names(REPO, HubTest::parquet));
        server.hubMishaps.add(FakeHub.status(307, "Location", target));
        assertMessage("which is no address of the web", () -> hub().file(REPO, "config.json"));
    }

    @Test
    void aHostMayHaveAnUnderscore() {
        assertMessage(
                "model owner/name",
                () -> hub("HF_ENDPOINT", "http://no_such_host.invalid:1").file(REPO, "config.json"));
        for (int i = 0; i < 2; i++)
            server.storageMishaps.add(FakeHub.status(302, "Location", "http://my_bucket.invalid/x"));
        assertMessage("no host of the name my_bucket.invalid is known", () -> hub().file(REPO, "big.safetensors"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "http://[bad",
                "http://h:99999",
                "http://a b",
                "hub.example",
                "http://h?x",
                "http://h#x",
                "ftp://h",
                "http://",
                "\ud800"
            })
    void anEndpointIsAnAddress(String endpoint) {
        assertMessage(
                "HF_ENDPOINT is not an address",
                () -> hub("HF_ENDPOINT", endpoint).file(REPO, "config.json"));
    }

    /** Servers that this JVM's own cannot play: what they send to each request, to the letter. */
    private static ServerSocket sending(String answer) throws IOException {
        ServerSocket socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread.ofVirtual().start(() -> {
            while (true) {
                try (Socket client = socket.accept()) {
                    client.getInputStream().read(new byte[4096]);
                    client.getOutputStream().write(answer.getBytes(StandardCharsets.ISO_8859_1));
                } catch (IOException e) {
                    if (socket.isClosed()) return;
                }
            }
        });
        return socket;
    }

    @Test
    void headersThatDripAreNotWaitedFor() throws IOException {
        try (ServerSocket odd = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            Thread.ofVirtual().start(() -> {
                try (Socket client = odd.accept()) {
                    client.getOutputStream().write("HTTP/1.1 200 OK\r\nX: ".getBytes());
                    while (true) {
                        client.getOutputStream().write('x');
                        Thread.sleep(20);
                    }
                } catch (IOException | InterruptedException e) {
                    // the client has had enough
                }
            });
            var once = new HubHttp.Patience(
                    1, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofMillis(400), Duration.ofMillis(400));
            assertMessage(
                    "no answer from 127.0.0.1 within 0.4 s",
                    () -> hub("HF_ENDPOINT", "http://127.0.0.1:" + odd.getLocalPort())
                            .patient(once)
                            .file(REPO, "config.json"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Content-Length: abc", "Content-Length: 99999999999999999999", "Content-Length:", "X: y"})
    void aLengthThatIsNoneSaysNothing(String header) throws IOException {
        String etag = FakeHub.gitBlob("body".getBytes());
        try (ServerSocket odd = sending("HTTP/1.1 200 OK\r\nX-Repo-Commit: " + FakeHub.COMMIT + "\r\nETag: \"" + etag
                + "\"\r\nX-Linked-Size: many\r\n" + header + "\r\nConnection: close\r\n\r\nbody")) {
            assertEquals(
                    "body",
                    Files.readString(hub("HF_ENDPOINT", "http://127.0.0.1:" + odd.getLocalPort())
                            .file(REPO, "x.txt")));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody",
                "HTTP/1.1 2000 OK\r\n\r\n",
                "SSH-2.0-x\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
                "\r\n",
                ""
            })
    void whatIsNoAnswerIsOneSentence(String answer) throws IOException {
        try (ServerSocket odd = sending(answer)) {
            for (int i = 0; i < 3; i++)
                server.storageMishaps.add(
                        FakeHub.status(302, "Location", "http://127.0.0.1:" + odd.getLocalPort() + "/x"));
            assertMessage("cannot be fetched", () -> hub().file(REPO, "big.safetensors"));
            assertMessage(
                    "cannot be fetched",
                    () -> hub("HF_ENDPOINT", "http://127.0.0.1:" + odd.getLocalPort())
                            .names(REPO, HubTest::parquet));
        }
    }

    @Test
    void aNameThatIsNoneIsOneSentence() {
        assertMessage("cannot be the name of a file here", () -> hub().file(REPO, "a\ud800b"));
        hub().file(REPO, "config.json");
        for (String name :
                List.of("\\ud800.parquet", "a\\u0000.parquet", "../x.parquet", "/etc/x.parquet", "x//y.parquet")) {
            server.hubMishaps.add((exchange, _) ->
                    FakeHub.send(exchange, ("[{\"type\":\"file\",\"path\":\"" + name + "\"}]").getBytes()));
            assertMessage("the name of a file", () -> hub().names(REPO, HubTest::parquet));
        }
        assertMessage("cannot be stored in the hub cache", () -> {
            server.small(PATH + "a".repeat(300), "x");
            hub().file(REPO, "a".repeat(300));
        });
    }

    // ------------------------------------------------------------------------------------------------- the cache's
    // folder

    @Test
    void aCacheThatCannotBeWrittenIsReadAndItsMarkersAreLeftOut() throws IOException {
        hub().file(REPO, "config.json");
        Files.writeString(cache.resolve("models--owner--name/.no_exist"), "no folder can be made here");
        assertEquals(Optional.empty(), hub().optionalFile(REPO, "merges.txt"));
        assertEquals("{}", Files.readString(hub().file(REPO, "config.json")));
        assertMessage("has no file 'merges.txt'", () -> hub().file(REPO, "merges.txt"));
    }

    @Test
    void aReferenceThatCannotBeWrittenIsDoneWithout() throws IOException {
        Files.writeString(
                Files.createDirectories(cache.resolve("models--owner--name")).resolve("refs"),
                "no folder can be made here");
        assertEquals("{}", Files.readString(hub().file(REPO, "config.json")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"blobs", "snapshots"})
    void whatCannotBeStoredIsNotTheNetworksFault(String folder) throws IOException {
        Files.writeString(
                Files.createDirectories(cache.resolve("models--owner--name")).resolve(folder),
                "no folder can be made here");
        assertMessage(
                "config.json of model owner/name cannot be stored in the hub cache " + cache,
                () -> hub().file(REPO, "config.json"));
    }

    @Test
    void aLinkInPlaceOfAPartIsNotFollowed() throws IOException {
        Path victim = Files.writeString(cache.resolve("victim"), "mine");
        Files.createDirectories(part().getParent());
        Files.createSymbolicLink(part(), victim);
        assertMessage(
                "there is a link or a folder, and should be a file: remove it",
                () -> hub().file(REPO, "big.safetensors"));
        Files.delete(part());
        Files.createSymbolicLink(part(), cache.resolve("nothing"));
        assertMessage(
                "there is a link or a folder, and should be a file: remove it",
                () -> hub().file(REPO, "big.safetensors"));
        assertEquals("mine", Files.readString(victim));
        assertFalse(Files.exists(cache.resolve("nothing")));
    }

    @Test
    void whatADeadProcessLeftIsNotInTheWay() throws IOException {
        Files.createDirectories(cache.resolve(".locks/models--owner--name"));
        Files.writeString(
                cache.resolve(".locks/models--owner--name/" + FakeHub.sha256(weights) + ".lock"), "12345\nhost\n");
        Path snapshot = Files.createDirectories(cache.resolve("models--owner--name/snapshots/" + FakeHub.COMMIT));
        Files.createSymbolicLink(
                snapshot.resolve(".big.safetensors." + Thread.currentThread().threadId()
                        + ProcessHandle.current().pid() + ".part"),
                Path.of("nowhere"));
        assertFetched();
    }

    @Test
    void aFileThatAnotherProcessFetchesIsWaitedFor() throws Exception {
        Path lock = Files.createDirectories(cache.resolve(".locks/models--owner--name"))
                .resolve(FakeHub.sha256(weights) + ".lock");
        Files.write(Files.createDirectories(part().getParent()).resolve(part().getFileName()), new byte[1000]);
        var told = new LinkedBlockingQueue<Long>();
        try (var thread = Executors.newSingleThreadExecutor();
                var channel = FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            var held = channel.lock();
            Future<Path> file = thread.submit(
                    () -> hub().reporting((_, done, _) -> told.add(done)).file(REPO, "big.safetensors"));
            assertEquals(1000, told.take(), "how far the other one is");
            Files.move(Files.write(part(), weights), blob());
            held.release();
            assertArrayEquals(weights, Files.readAllBytes(file.get()));
            assertEquals(
                    weights.length,
                    told.stream().mapToLong(Long::longValue).max().orElse(0));
            assertEquals(List.of("HEAD " + PATH + "big.safetensors"), server.requests);
        }
    }

    @Test
    void offlineWhatIsNotInTheCacheIsSaidToBe() throws IOException {
        hub().file(REPO, "config.json");
        String said =
                "model owner/name has none of a.bin, b.bin in the hub cache " + cache + ", and HF_HUB_OFFLINE is set";
        assertMessage(said, () -> hub("HF_HUB_OFFLINE", "1").firstFile(REPO, List.of("a.bin", "b.bin")));
        assertMessage(
                "model owner/name has none of a.bin, b.bin.", () -> hub().firstFile(REPO, List.of("a.bin", "b.bin")));
        assertMessage(
                "has none of model.safetensors, ",
                () -> HookedTransformer.fetch("owner/name", hub("HF_HUB_OFFLINE", "1")));
        assertMessage(
                "and HF_HUB_OFFLINE is set: unset it, or fetch the files",
                () -> HookedTransformer.fetch("owner/name", hub("HF_HUB_OFFLINE", "1")));
        server.small("/datasets/o/t/resolve/main/README.md", "x");
        hub().file(HubRepo.dataset("o/t"), "README.md");
        assertMessage(
                "dataset o/t in the hub cache " + cache + " (HF_DATASETS_OFFLINE is set) holds no Parquet",
                () -> Dataset.of("o/t", hub("HF_DATASETS_OFFLINE", "1")));
    }

    @Test
    void anExceptionHasTheCallersFrames() {
        InputException e = assertThrows(
                InputException.class, () -> hub("HF_HUB_OFFLINE", "1").files(REPO, List.of("config.json")));
        assertTrue(
                Arrays.stream(e.getStackTrace())
                        .anyMatch(frame -> frame.getClassName().equals(HubTest.class.getName())),
                Arrays.toString(e.getStackTrace()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"file:///etc/passwd", "ftp://127.0.0.1/x", "jar:file:/x!/y"})
    void aRedirectLeadsNowhereButToTheWeb(String target) {
        server.storageMishaps.add(FakeHub.status(302, "Location", target));
        assertMessage("refused", () -> hub().file(REPO, "big.safetensors"));
    }

    @Test
    void endlessRedirectsEnd() {
        for (int i = 0; i < 40; i++)
            server.storageMishaps.add((exchange, content) -> FakeHub.status(
                            302, "Location", exchange.getRequestURI().toString())
                    .answer(exchange, content));
        assertMessage("more than 30 redirects", () -> hub().file(REPO, "big.safetensors"));
    }

    @Test
    void aRenamedRepositoryIsFollowed() throws IOException {
        server.hubMishaps.add(FakeHub.status(307, "Location", PATH + "config.json"));
        assertEquals("{}", Files.readString(hub().file(HubRepo.model("old/name"), "config.json")));
    }

    @Test
    void twoAtATimeFetchOnce() throws Exception {
        try (var threads = Executors.newFixedThreadPool(6)) {
            Callable<Path> fetch = () -> hub().file(REPO, "big.safetensors");
            for (Future<Path> file : threads.invokeAll(Collections.nCopies(6, fetch)))
                assertArrayEquals(weights, Files.readAllBytes(file.get()));
        }
        assertEquals(
                1,
                server.requests.stream()
                        .filter(request -> request.startsWith("storage"))
                        .count(),
                server.requests.toString());
    }

    // ------------------------------------------------------------------------------------------------- what cannot be
    // had

    @Test
    void whatCannotBeHadIsOneSentence() throws IOException {
        assertMessage("model owner/name has no file 'nothing.bin'.", () -> hub().file(REPO, "nothing.bin"));
        assertMessage("it does not exist", () -> hub().file(HubRepo.model("absent/name"), "config.json2"));
        assertMessage("set HF_TOKEN", () -> hub().file(HubRepo.model("secret/name"), "x"));
        assertMessage("HF_TOKEN gives no access", () -> hub("HF_TOKEN", "t").file(HubRepo.model("secret/name"), "x"));
        assertMessage(
                "wants to be asked for access on its page, and HF_TOKEN is not set",
                () -> hub().file(HubRepo.model("gated/name"), "x"));
        assertMessage(
                "HF_TOKEN holds characters that no token has",
                () -> hub("HF_TOKEN", "a b").file(REPO, "config.json"));
        assertMessage(
                "HF_HUB_OFFLINE is set: unset it, or fetch the files",
                () -> hub("HF_HUB_OFFLINE", "true").file(HubRepo.model("never/seen"), "config.json"));
        assertMessage(
                "HF_ENDPOINT is not an address",
                () -> hub("HF_ENDPOINT", "file:///tmp").file(REPO, "config.json"));
        Files.writeString(
                Files.createDirectories(cache.resolve("models--bad--ref/refs")).resolve("main"), "../../../etc");
        assertMessage(
                "should hold a commit, not '../../../etc'", () -> hub().file(HubRepo.model("bad/ref"), "config.json"));
        server.close();
        assertMessage("cannot be fetched", () -> hub().file(REPO, "config.json"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../../etc",
                "a/b/c",
                "/etc",
                "a b",
                ".hidden",
                "a/..",
                "owner/name@../x",
                "owner/name@",
                "owner/name@a//b",
                ""
            })
    void whatCannotBeAnIdIsRefused(String id) {
        assertThrows(InputException.class, () -> HubRepo.model(id));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\\b"})
    void aFileLiesInsideItsRepository(String name) {
        assertMessage("is not the name of a file in a repository", () -> hub().file(REPO, name));
        assertEquals(List.of(), server.requests);
    }

    // ------------------------------------------------------------------------------------------------- proxies

    private static final String BASIC = "Basic " + Base64.getEncoder().encodeToString("us er:p@ss".getBytes());

    @Test
    void aProxyGetsItsPasswordWithTheTunnel() throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            String address = "http://us%20er:p%40ss@" + proxy.host();
            assertMessage(
                    "the proxy answers with status 502 to CONNECT",
                    () -> hub("HF_ENDPOINT", "https://hub.example", "HTTPS_PROXY", address)
                            .file(REPO, "config.json"));
            assertTrue(
                    proxy.requests.stream().allMatch(("CONNECT hub.example:443 HTTP/1.1 | " + BASIC)::equals),
                    proxy.requests.toString());
        }
    }

    /**
     * A certificate of hub.example and localhost, which signs itself: {@code certificate.pem}, and a context for
     * servers.
     */
    private SSLContext certificate() throws Exception {
        Path store = cache.resolve("keys.p12");
        Path pem = cache.resolve("certificate.pem");
        String keytool =
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        for (String arguments : List.of(
                "-genkeypair -keyalg EC -dname CN=test -ext san=dns:hub.example,dns:localhost",
                "-exportcert -rfc -file " + pem)) {
            String command = keytool + " " + arguments + " -alias test -storepass password -keystore " + store;
            assertEquals(
                    0,
                    new ProcessBuilder(command.split(" "))
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor(),
                    command);
        }
        KeyStore keys = KeyStore.getInstance(store.toFile(), "password".toCharArray());
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(keys, "password".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }

    @Test
    void aTunnelLeadsToTheHub() throws Exception {
        SSLContext tls = certificate();
        try (FakeHub secure = new FakeHub(tls).small(PATH + "config.json", "{}").small(PATH + "other.json", "[]")) {
            for (SSLContext before : new SSLContext[] {null, tls}) {
                try (FakeProxy proxy = FakeProxy.tunnel(before, BASIC, secure.port())) {
                    String address = (before == null ? "http" : "https") + "://us%20er:p%40ss@" + proxy.host();
                    String[] variables = {
                        "HF_ENDPOINT", "https://hub.example", "HF_TOKEN", "secret-token", "HTTPS_PROXY", address
                    };
                    String name = before == null ? "config.json" : "other.json";
                    assertMessage(
                            "unable to find valid certification path",
                            () -> hub(variables).patient(CALM).file(REPO, name));
                    String[] trusting = Arrays.copyOf(variables, 8);
                    trusting[6] = "REQUESTS_CA_BUNDLE";
                    trusting[7] = cache.resolve("certificate.pem").toString();
                    assertEquals(2, Files.size(hub(trusting).patient(CALM).file(REPO, name)));
                    assertFalse(proxy.requests.isEmpty());
                    assertTrue(
                            proxy.requests.stream().allMatch(("CONNECT hub.example:443 HTTP/1.1 | " + BASIC)::equals),
                            proxy.requests.toString());
                }
            }
            assertTrue(
                    secure.hubTokens.size() == 4 && secure.hubTokens.stream().allMatch("Bearer secret-token"::equals),
                    secure.hubTokens.toString());
            assertEquals(
                    List.of("null"),
                    secure.proxyTokens.stream().distinct().toList(),
                    "the proxy's password must not reach the hub");
        }
    }

    @Test
    void certificatesThatAreNoneAreOneSentence() throws IOException {
        String[] variables = {"REQUESTS_CA_BUNDLE", cache.resolve("bundle.pem").toString()};
        assertMessage(
                "which cannot be read: it, or a folder in its path, does not exist",
                () -> hub(variables).file(REPO, "config.json"));
        Files.writeString(cache.resolve("bundle.pem"), "");
        assertMessage(
                "bundle.pem, which holds no certificate", () -> hub(variables).file(REPO, "config.json"));
        Files.writeString(cache.resolve("bundle.pem"), "-----BEGIN CERTIFICATE-----\nxyz\n-----END CERTIFICATE-----\n");
        assertMessage(
                "which is no file of certificates in PEM form",
                () -> hub(variables).file(REPO, "config.json"));
    }

    @Test
    void aBundleIsWholeAndAFolderMayHoldOtherFiles() throws Exception {
        SSLContext tls = certificate();
        String whole = Files.readString(cache.resolve("certificate.pem"));
        Path folder = Files.createDirectories(cache.resolve("authorities"));
        Path bundle = folder.resolve("bundle.pem");
        try (FakeHub secure = new FakeHub(tls).small(PATH + "config.json", "{}").small(PATH + "other.json", "[]")) {
            String[] variables = {
                "HF_ENDPOINT", "https://localhost:" + secure.port(), "REQUESTS_CA_BUNDLE", bundle.toString()
            };
            Files.writeString(bundle, whole + whole.substring(0, whole.length() / 2));
            assertMessage(
                    "which is no file of certificates in PEM form",
                    () -> hub(variables).file(REPO, "config.json"));
            Files.writeString(bundle, "The first:\n" + whole + "The second:\n" + whole);
            assertEquals("{}", Files.readString(hub(variables).patient(CALM).file(REPO, "config.json")));
            variables[3] = folder.toString();
            Files.writeString(folder.resolve("a note"), "-----BEGIN CERTIFICATE-----\nno more\n");
            assertEquals("[]", Files.readString(hub(variables).patient(CALM).file(REPO, "other.json")));
            Files.delete(bundle);
            assertMessage("which holds no certificate", () -> hub(variables).file(REPO, "third.json"));
        }
    }

    @Test
    void aProxyThatIsNotThereIsNamedWithItsVariable() {
        for (String variable : List.of("http_proxy", "ALL_PROXY"))
            assertMessage(
                    "(the proxy http://127.0.0.1:1 of " + variable.toLowerCase(Locale.ROOT)
                            + " does not accept connections)",
                    () -> hub(variable, "http://us:secret-token@127.0.0.1:1").file(REPO, "config.json"));
    }

    @Test
    void aBranchThatIsNamedAsACommitIsItself() throws IOException {
        Path repo = cache.resolve("models--owner--name");
        HubRepo named = HubRepo.model("owner/name@abc");
        for (String commit : List.of("abc", "def")) {
            Path snapshot = Files.createDirectories(repo.resolve("snapshots").resolve(commit));
            Files.writeString(snapshot.resolve("config.json"), commit);
        }
        assertEquals("abc", Files.readString(hub().file(named, "config.json")));
        Files.writeString(Files.createDirectories(repo.resolve("refs")).resolve("abc"), "def");
        assertEquals("def", Files.readString(hub().file(named, "config.json")));
    }

    @Test
    void whatTheyAreIsSaidInALine() {
        assertEquals("Hub " + server.endpoint() + " with the cache " + cache, hub().toString());
        assertEquals(
                "Hub https://hub.example with the cache " + cache,
                hub("HF_ENDPOINT", "https://us:secret-token@hub.example").toString());
        assertTrue(SaeRegistry.bundled().toString().startsWith("SaeRegistry"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"https://hub.example", "http://hub.example"})
    void aProxyThatWantsAnotherPasswordIsOneSentence(String endpoint) throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            for (String user : List.of("", "wrong:secret-token@")) {
                assertMessage(
                        "the proxy http://" + proxy.host() + " wants a user and a password",
                        () -> hub("HF_ENDPOINT", endpoint, "ALL_PROXY", "http://" + user + proxy.host())
                                .file(REPO, "config.json"));
            }
            assertEquals(2, proxy.requests.stream().distinct().count());
            assertTrue(proxy.requests.size() <= 4, "asked without end: " + proxy.requests);
        }
    }

    @Test
    void plainRequestsGoThroughTheProxyToo() throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            String address = "us%20er:p%40ss@" + proxy.host();
            assertArrayEquals(
                    weights,
                    Files.readAllBytes(hub("http_proxy", address, "HF_TOKEN", "secret-token")
                            .file(REPO, "big.safetensors")));
            assertTrue(
                    proxy.requests.stream().allMatch(request -> request.endsWith(" | " + BASIC)),
                    proxy.requests.toString());
            assertEquals(3, proxy.requests.size(), proxy.requests.toString());
            assertEquals(
                    "{}",
                    Files.readString(hub("http_proxy", address, "no_proxy", "127.0.0.0/8")
                            .file(REPO, "config.json")));
            assertEquals(3, proxy.requests.size(), "no_proxy");
        }
    }

    @Test
    void aSocksProxyIsGoneThrough() throws IOException {
        try (FakeProxy proxy = FakeProxy.socks()) {
            assertArrayEquals(
                    weights,
                    Files.readAllBytes(
                            hub("ALL_PROXY", "socks5h://" + proxy.host()).file(REPO, "big.safetensors")));
            assertEquals(
                    List.of("127.0.0.1", "localhost"),
                    proxy.requests.stream().distinct().toList());
        }
    }

    @Test
    void aProxyThatIsNotNeededIsNotLookedAt() throws IOException {
        assertEquals(
                "{}",
                Files.readString(
                        hub("https_proxy", "::nonsense:secret", "ALL_PROXY", "socks5://x", "NO_PROXY", "127.0.0.1")
                                .file(REPO, "config.json")));
    }

    private static void assertMessage(String part, Executable call) {
        InputException e = assertThrows(InputException.class, call);
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertFalse(e.getMessage().contains("\n"));
        assertFalse(e.getMessage().contains("secret-token"));
    }

    @Test
    void theVariablesTakeHuggingFacesDefaults() {
        InputException e = assertThrows(
                InputException.class,
                () -> Hub.of(Map.of("HF_HOME", cache.toString(), "HF_HUB_OFFLINE", "YES"))
                        .file(HubRepo.model("gpt2"), "config.json"));
        assertTrue(e.getMessage().contains(cache.resolve("hub").toString()), e.getMessage());
    }
}
