package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Servers that are busy, refuse, or give no answer: how often they are asked, and what is said of them. */
class HubAnswerTest extends HubFixture {
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
        assertEquals(3, server.storageRequests().size(), server.requests.toString());
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
                            .names(REPO, HubFixture::parquet));
        }
    }

    @Test
    void anExceptionHasTheCallersFrames() {
        InputException e = assertThrows(
                InputException.class, () -> hub("HF_HUB_OFFLINE", "1").files(REPO, List.of("config.json")));
        assertTrue(
                Arrays.stream(e.getStackTrace())
                        .anyMatch(frame -> frame.getClassName().equals(HubAnswerTest.class.getName())),
                Arrays.toString(e.getStackTrace()));
    }

    @Test
    void whatCannotBeHadIsOneSentence() throws IOException {
        assertMessage("model owner/name has no file 'nothing.bin'.", () -> hub().file(REPO, "nothing.bin"));
        assertMessage("it does not exist", () -> hub().file(HubRepo.model("absent/name"), "config.json2"));
        assertMessage("set HF_TOKEN", () -> hub().file(HubRepo.model("secret/name"), "x"));
        assertMessage("HF_TOKEN gives no access", () -> hub("HF_TOKEN", "t").file(HubRepo.model("secret/name"), "x"));
        assertMessage(
                "first, by the account whose token HF_TOKEN should hold; it is not set",
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
}
