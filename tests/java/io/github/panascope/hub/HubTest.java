package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The hub cache and downloads into it, against HTTP servers in this process that do all that servers do. */
class HubTest {
    private static final HubRepo REPO = HubRepo.model("owner/name");
    private static final String PATH = "/owner/name/resolve/main/";
    private static final HubDownload.Patience SHORT = new HubDownload.Patience(3, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofMillis(400));

    private final byte[] weights = new byte[300_000];
    @TempDir private Path cache;
    private FakeHub server;

    @BeforeEach
    void start() throws IOException {
        new Random(1).nextBytes(weights);
        server = new FakeHub().large(PATH + "big.safetensors", weights).small(PATH + "config.json", "{}").small(PATH + "with space/é.txt", "x").small(PATH + "empty.txt", "");
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private Hub hub(String... more) {
        Map<String, String> environment = new HashMap<>(Map.of("HF_HUB_CACHE", cache.toString(), "HF_HOME", cache.resolve("home").toString(), "HF_ENDPOINT", server.endpoint() + "/"));
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
        assertTrue(Files.exists(cache.resolve("models--owner--name/blobs").resolve(FakeHub.gitBlob("{}".getBytes())).resolveSibling(hub().file(REPO, "config.json").toRealPath().getFileName())));
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
        server.small("/owner/name/resolve/checkpoint-400000/config.json", "old").small("/owner/name/resolve/refs/convert/parquet/config.json", "never");
        assertEquals("old", Files.readString(hub().file(HubRepo.model("owner/name@checkpoint-400000"), "config.json")));
        assertEquals(FakeHub.COMMIT, Files.readString(cache.resolve("models--owner--name/refs/checkpoint-400000")));
        assertEquals("old", Files.readString(hub("HF_HUB_OFFLINE", "1").file(HubRepo.model("owner/name@" + FakeHub.COMMIT), "config.json")));
        assertMessage("has no revision 'nowhere'", () -> hub().file(HubRepo.model("owner/name@nowhere"), "config.json"));
    }

    private static List<String> parquet(List<String> names) {
        return names.stream().filter(name -> name.endsWith(".parquet")).toList();
    }

    @Test
    void namesComeFromTheCacheUnlessPartsAreMissing() throws IOException {
        server.small("/datasets/o/t/resolve/main/data/train-00000-of-00002.parquet", "a").small("/datasets/o/t/resolve/main/data/train-00001-of-00002.parquet", "b");
        HubRepo texts = HubRepo.dataset("o/t");
        hub().file(texts, "data/train-00000-of-00002.parquet");
        assertMessage("data/train-00001-of-00002.parquet is missing", () -> hub("HF_HUB_OFFLINE", "1").names(texts, HubTest::parquet));
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
        }).file(REPO, "big.safetensors");
        assertArrayEquals(weights, Files.readAllBytes(file));
        assertEquals(Map.of("big.safetensors", 300_000L), told);
        List<String> asked = server.requests.stream().filter(request -> request.startsWith("storage")).toList();
        assertEquals(3, asked.size());
        assertEquals("storage all", asked.get(0));
        assertTrue(asked.get(2).matches("storage bytes=1[0-9]{5}-"), asked.toString());
    }

    @Test
    void anotherRunGoesOnWhereThisOneGaveUp() throws IOException {
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.cutAfter(100_000), FakeHub.status(500), FakeHub.status(500), FakeHub.status(500), FakeHub.status(500), FakeHub.status(500),
                FakeHub.status(500), FakeHub.status(500), FakeHub.status(500), FakeHub.status(500)));
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
        assertEquals(List.of("storage bytes=1000-", "storage all"), server.requests.stream().filter(request -> request.startsWith("storage")).toList());
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
        byte[] more = java.util.Arrays.copyOf(weights, weights.length + 50_000), fewer = java.util.Arrays.copyOf(weights, 1000);
        server.storageMishaps.addAll(FakeHub.queue(FakeHub.sends(more), FakeHub.sends(more), FakeHub.sends(more)));
        assertMessage("the server sent more than the 300000 bytes that it announced", () -> hub().file(REPO, "big.safetensors"));
        server.storageMishaps.clear();
        Files.deleteIfExists(part());
        server.storageMishaps.add(FakeHub.sends(fewer));
        assertFetched();
    }

    @ParameterizedTest
    @ValueSource(strings = {"file:///etc/passwd", "ftp://127.0.0.1/x", "jar:file:/x!/y"})
    void aRedirectLeadsNowhereButToTheWeb(String target) {
        server.storageMishaps.add(FakeHub.status(302, "Location", target));
        assertMessage("refused", () -> hub().file(REPO, "big.safetensors"));
    }

    @Test
    void endlessRedirectsEnd() {
        for (int i = 0; i < 40; i++) server.storageMishaps.add((exchange, content) -> FakeHub.status(302, "Location", exchange.getRequestURI().toString()).answer(exchange, content));
        assertMessage("more than 5 redirects", () -> hub().file(REPO, "big.safetensors"));
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
            for (Future<Path> file : threads.invokeAll(java.util.Collections.nCopies(6, fetch))) assertArrayEquals(weights, Files.readAllBytes(file.get()));
        }
        assertEquals(1, server.requests.stream().filter(request -> request.startsWith("storage")).count(), server.requests.toString());
    }

    // ------------------------------------------------------------------------------------------------- what cannot be had

    @Test
    void whatCannotBeHadIsOneSentence() throws IOException {
        assertMessage("model owner/name has no file 'nothing.bin'.", () -> hub().file(REPO, "nothing.bin"));
        assertMessage("it does not exist", () -> hub().file(HubRepo.model("nobody/name"), "config.json2"));
        assertMessage("set HF_TOKEN", () -> hub().file(HubRepo.model("secret/name"), "x"));
        assertMessage("HF_TOKEN gives no access", () -> hub("HF_TOKEN", "t").file(HubRepo.model("secret/name"), "x"));
        assertMessage("wants to be asked for access on its page, and HF_TOKEN is not set", () -> hub().file(HubRepo.model("gated/name"), "x"));
        assertMessage("HF_TOKEN holds characters that no token has", () -> hub("HF_TOKEN", "a\nb").file(REPO, "config.json"));
        assertMessage("HF_HUB_OFFLINE is set: unset it, or run `panascope fetch`", () -> hub("HF_HUB_OFFLINE", "true").file(HubRepo.model("never/seen"), "config.json"));
        assertMessage("HF_ENDPOINT is not an address", () -> hub("HF_ENDPOINT", "file:///tmp"));
        Files.writeString(Files.createDirectories(cache.resolve("models--bad--ref/refs")).resolve("main"), "../../../etc");
        assertMessage("should hold a commit, not '../../../etc'", () -> hub().file(HubRepo.model("bad/ref"), "config.json"));
        server.close();
        assertMessage("cannot be fetched", () -> hub().file(REPO, "config.json"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../../etc", "a/b/c", "/etc", "a b", ".hidden", "a/..", "owner/name@../x", "owner/name@", "owner/name@a//b", ""})
    void whatCannotBeAnIdIsRefused(String id) {
        assertThrows(InputException.class, () -> HubRepo.model(id));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\\b"})
    void aFileLiesInsideItsRepository(String name) {
        assertMessage("is not the name of a file in a repository", () -> hub().file(REPO, name));
        assertEquals(List.of(), server.requests);
    }

    @Test
    void proxiesAreTakenFromTheEnvironment() {
        EnvironmentProxy proxy = EnvironmentProxy.of(Map.of("https_proxy", "http://user:pw@proxy.example:3128", "NO_PROXY", "localhost,.internal.example, *.corp"));
        assertEquals("proxy.example:3128", proxy.select(java.net.URI.create("https://huggingface.co/x")).getFirst().address().toString().replace("/<unresolved>", ""));
        for (String direct : List.of("https://localhost/x", "https://a.internal.example", "https://x.corp")) {
            assertEquals(java.net.Proxy.NO_PROXY, proxy.select(java.net.URI.create(direct)).getFirst(), direct);
        }
        assertMessage("the proxy for https is not an address", () -> EnvironmentProxy.of(Map.of("HTTPS_PROXY", "::nonsense:secret")).select(java.net.URI.create("https://huggingface.co")));
    }

    private static void assertMessage(String part, org.junit.jupiter.api.function.Executable call) {
        InputException e = assertThrows(InputException.class, call);
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertFalse(e.getMessage().contains("\n"));
        assertFalse(e.getMessage().contains("secret-token"));
    }

    @Test
    void theVariablesTakeHuggingFacesDefaults() {
        InputException e = assertThrows(InputException.class, () -> Hub.of(Map.of("HF_HOME", cache.toString(), "HF_HUB_OFFLINE", "YES")).file(HubRepo.model("gpt2"), "config.json"));
        assertTrue(e.getMessage().contains(cache.resolve("hub").toString()), e.getMessage());
    }
}
