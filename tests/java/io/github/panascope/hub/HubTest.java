package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The hub cache and downloads into it, against an HTTP server in this process. */
class HubTest {
    private static final byte[] CONTENT = "weights".getBytes(StandardCharsets.UTF_8);
    private static final String COMMIT = "a".repeat(40);

    @TempDir private Path cache;
    private HttpServer hub, storage;
    private final List<String> requests = new CopyOnWriteArrayList<>();
    private final Map<String, String> tokens = new ConcurrentHashMap<>();
    private String etag;

    @BeforeEach
    void start() throws Exception {
        etag = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(CONTENT));
        hub = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        storage = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        storage.createContext("/", exchange -> {
            tokens.put("storage", String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            exchange.sendResponseHeaders(200, CONTENT.length);
            exchange.getResponseBody().write(CONTENT);
            exchange.close();
        });
        hub.createContext("/", exchange -> {
            String path = exchange.getRequestURI().getPath();
            requests.add(path);
            tokens.put("hub", String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            exchange.getResponseHeaders().add("X-Repo-Commit", COMMIT);
            if (path.endsWith("/big.safetensors")) {
                exchange.getResponseHeaders().add("X-Linked-Etag", "\"" + etag + "\"");
                exchange.getResponseHeaders().add("Location", "http://localhost:" + storage.getAddress().getPort() + "/blob");
                exchange.sendResponseHeaders(302, -1);
            } else if (path.endsWith("/config.json")) {
                exchange.getResponseHeaders().add("ETag", "\"abc123\"");
                exchange.sendResponseHeaders(200, 2);
                exchange.getResponseBody().write("{}".getBytes(StandardCharsets.UTF_8));
            } else if (path.startsWith("/secret/")) {
                exchange.sendResponseHeaders(401, -1);
            } else if (path.startsWith("/api/")) {
                byte[] list = "[{\"type\":\"file\",\"path\":\"data/train-0.parquet\"},{\"type\":\"directory\",\"path\":\"data\"}]".getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, list.length);
                exchange.getResponseBody().write(list);
            } else {
                exchange.getResponseHeaders().add("X-Error-Code", path.startsWith("/nobody/") ? "RepoNotFound" : "EntryNotFound");
                exchange.sendResponseHeaders(404, -1);
            }
            exchange.close();
        });
        hub.start();
        storage.start();
    }

    @AfterEach
    void stop() {
        hub.stop(0);
        storage.stop(0);
    }

    private Hub hub(String... more) {
        Map<String, String> environment = new java.util.HashMap<>(Map.of("HF_HUB_CACHE", cache.toString(), "HF_HOME", cache.resolve("home").toString(),
                "HF_ENDPOINT", "http://127.0.0.1:" + hub.getAddress().getPort() + "/"));
        for (int i = 0; i < more.length; i += 2) environment.put(more[i], more[i + 1]);
        return Hub.of(environment);
    }

    @Test
    void aFileIsFetchedOnceIntoHuggingFacesLayout() throws IOException {
        HubRepo repo = HubRepo.model("owner/name");
        Path file = hub("HF_TOKEN", "secret-token").file(repo, "big.safetensors");
        assertEquals(cache.resolve("models--owner--name/snapshots/" + COMMIT + "/big.safetensors"), file);
        assertTrue(Files.isSymbolicLink(file));
        assertEquals(cache.resolve("models--owner--name/blobs").resolve(etag).toRealPath(), file.toRealPath());
        assertEquals(COMMIT, Files.readString(cache.resolve("models--owner--name/refs/main")));
        assertEquals("weights", Files.readString(file));
        assertEquals("Bearer secret-token", tokens.get("hub"));
        assertEquals("null", tokens.get("storage"), "the token must not reach another host");
        int asked = requests.size();
        assertEquals(file, hub().file(repo, "big.safetensors"));
        assertEquals(file, hub("HF_HUB_OFFLINE", "1").file(repo, "big.safetensors"));
        assertEquals(asked, requests.size(), "no request for what is there");
        assertEquals(Optional.empty(), hub().optionalFile(repo, "merges.txt"));
        assertEquals(Optional.empty(), hub("HF_HUB_OFFLINE", "1").optionalFile(repo, "merges.txt"));
    }

    @Test
    void aDamagedDownloadLeavesNothing() throws IOException {
        etag = "0".repeat(64);
        InputException e = assertThrows(InputException.class, () -> hub().file(HubRepo.model("owner/name"), "big.safetensors"));
        assertTrue(e.getMessage().contains("damaged"), e.getMessage());
        try (var blobs = Files.list(cache.resolve("models--owner--name/blobs"))) {
            assertEquals(0, blobs.count());
        }
        assertFalse(Files.exists(cache.resolve("models--owner--name/snapshots")));
    }

    @Test
    void whatCannotBeHadIsOneSentence() {
        assertMessage("model owner/name has no file 'nothing.bin'.", () -> hub().file(HubRepo.model("owner/name"), "nothing.bin"));
        assertMessage("it does not exist", () -> hub().file(HubRepo.model("nobody/name"), "config.json2"));
        assertMessage("set HF_TOKEN", () -> hub().file(HubRepo.model("secret/name"), "x"));
        assertMessage("HF_TOKEN gives no access", () -> hub("HF_TOKEN", "t").file(HubRepo.model("secret/name"), "x"));
        assertMessage("HF_HUB_OFFLINE is set", () -> hub("HF_HUB_OFFLINE", "true").file(HubRepo.model("owner/name"), "config.json"));
        assertMessage("is not a hub id", () -> HubRepo.model("../../etc"));
        hub.stop(0);
        assertMessage("cannot be reached", () -> hub().file(HubRepo.model("owner/name"), "config.json"));
    }

    private static void assertMessage(String part, org.junit.jupiter.api.function.Executable call) {
        InputException e = assertThrows(InputException.class, call);
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertFalse(e.getMessage().contains("\n"));
    }

    @Test
    void aDatasetsFilesAreListed() {
        assertEquals(List.of("data/train-0.parquet"), hub().files(HubRepo.dataset("owner/texts")));
        assertEquals(List.of("/api/datasets/owner/texts/tree/main"), requests);
    }

    @Test
    void theVariablesTakeHuggingFacesDefaults() {
        InputException e = assertThrows(InputException.class, () -> Hub.of(Map.of("HF_HOME", cache.toString(), "HF_HUB_OFFLINE", "YES")).file(HubRepo.model("gpt2"), "config.json"));
        assertTrue(e.getMessage().contains(cache.resolve("hub").toString()), e.getMessage());
    }
}
