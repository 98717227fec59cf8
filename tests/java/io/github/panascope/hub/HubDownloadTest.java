package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Downloads from servers that cut, stall, send damage or lie. */
class HubDownloadTest extends HubFixture {
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
        List<String> asked = server.storageRequests();
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

    /** The hub has answered that the file exists: a caller must not take a failure for a missing optional file. */
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
        assertEquals(List.of("storage bytes=1000-", "storage all"), server.storageRequests());
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
        assertEquals(List.of("a.parquet"), hub().names(REPO, HubFixture::parquet));
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
    void aFileThatDripsIsNotWaitedFor() {
        for (int i = 0; i < 5; i++) server.storageMishaps.add(FakeHub.drips(20));
        assertMessage("bytes came within 0.4 s", () -> hub().file(REPO, "big.safetensors"));
        assertEquals(3, server.storageRequests().size(), server.requests.toString());
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
}
