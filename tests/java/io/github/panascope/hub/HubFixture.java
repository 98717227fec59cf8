package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** A repository on a server in this process that does all that servers do, and an empty hub cache. */
abstract class HubFixture {
    static final HubRepo REPO = HubRepo.model("owner/name");
    static final String PATH = "/owner/name/resolve/main/";
    private static final HubHttp.Patience SHORT = new HubHttp.Patience(
            3, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofMillis(400), Duration.ofMillis(400));

    final byte[] weights = new byte[300_000];

    @TempDir
    Path cache;

    FakeHub server;

    @BeforeEach
    final void start() throws IOException {
        new Random(1).nextBytes(weights);
        server = new FakeHub()
                .large(PATH + "big.safetensors", weights)
                .small(PATH + "config.json", "{}")
                .small(PATH + "with space/é.txt", "x")
                .small(PATH + "empty.txt", "");
    }

    @AfterEach
    final void stop() {
        server.close();
    }

    /** What leads to the server and the cache, with more variables and their values, or others for these. */
    final Map<String, String> environment(String... more) {
        Map<String, String> environment = new HashMap<>(Map.of(
                "HF_HUB_CACHE",
                cache.toString(),
                "HF_HOME",
                cache.resolve("home").toString(),
                "HF_ENDPOINT",
                server.endpoint() + "/"));
        for (int i = 0; i < more.length; i += 2) environment.put(more[i], more[i + 1]);
        return environment;
    }

    /** A hub that is soon out of patience. */
    final Hub hub(String... more) {
        return Hub.of(environment(more)).patient(SHORT);
    }

    final Path blob() {
        return cache.resolve("models--owner--name/blobs").resolve(FakeHub.sha256(weights));
    }

    final Path part() {
        return blob().resolveSibling(blob().getFileName() + ".panascope.incomplete");
    }

    final void assertFetched() throws IOException {
        assertArrayEquals(weights, Files.readAllBytes(hub().file(REPO, "big.safetensors")));
        assertFalse(Files.exists(part()));
    }

    static List<String> parquet(List<String> names) {
        return names.stream().filter(name -> name.endsWith(".parquet")).toList();
    }

    /** Servers that this JVM's own cannot play: what they send to each request, to the letter. */
    static ServerSocket sending(String answer) throws IOException {
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

    static void assertMessage(String part, Executable call) {
        InputException e = assertThrows(InputException.class, call);
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertFalse(e.getMessage().contains("\n"));
        assertFalse(e.getMessage().contains("secret-token"));
    }
}
