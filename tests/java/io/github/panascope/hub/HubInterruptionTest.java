package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.RunInterruptedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What waits for the hub ends soon after its thread is interrupted, whatever the server does meanwhile. */
class HubInterruptionTest extends HubFixture {
    /** Longer than any test waits. */
    private static final long LONG_MILLIS = 60_000;

    @BeforeEach
    void addAnotherFile() {
        server.small(PATH + "other.json", "[]");
    }

    /** A hub with the patience that users get: it is an interruption that ends it. */
    private Hub patientHub() {
        return Hub.of(environment());
    }

    private void assertEnds(String doing, Thread.Builder threads, Runnable call) throws InterruptedException {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        AtomicBoolean status = new AtomicBoolean();
        int asked = server.requests.size();
        Thread thread = threads.start(() -> {
            try {
                call.run();
            } catch (Throwable e) {
                thrown.set(e);
            }
            status.set(Thread.currentThread().isInterrupted());
        });
        while (server.requests.size() == asked) Thread.sleep(10);
        Thread.sleep(300);
        assertTrue(thread.isAlive(), "it waits for the server");
        thread.interrupt();
        assertTrue(thread.join(Duration.ofSeconds(2)), "it still waits");
        RunInterruptedException e = assertInstanceOf(RunInterruptedException.class, thrown.get());
        assertEquals("interrupted while " + doing, e.getMessage());
        assertTrue(status.get(), "the interrupt status is kept");
    }

    @Test
    void aDownloadThatHangsEndsAndGoesOnLater() throws Exception {
        server.storageMishaps.add(FakeHub.stallAfter(100_000, LONG_MILLIS));
        assertEnds(
                "fetching big.safetensors of model owner/name",
                Thread.ofPlatform(),
                () -> patientHub().file(REPO, "big.safetensors"));
        assertArrayEquals(weights, Files.readAllBytes(patientHub().file(REPO, "big.safetensors")));
        String range = server.requests.getLast();
        assertTrue(range.matches("storage bytes=[1-9]\\d*-"), range);
    }

    @Test
    void aDownloadThatTricklesEnds() throws Exception {
        server.storageMishaps.add(FakeHub.drips(20));
        assertEnds(
                "fetching model owner/name",
                Thread.ofPlatform(),
                () -> patientHub().files(REPO, List.of("big.safetensors")));
    }

    @Test
    void severalAtOnceEnd() throws Exception {
        for (int i = 0; i < 3; i++) server.hubMishaps.add((exchange, _) -> sleep());
        assertEnds(
                "fetching model owner/name",
                Thread.ofPlatform(),
                () -> patientHub().files(REPO, List.of("big.safetensors", "config.json", "other.json")));
    }

    @Test
    void aQuestionWithoutAnAnswerEnds() throws Exception {
        for (Thread.Builder threads : List.of(Thread.ofPlatform(), Thread.ofVirtual())) {
            server.hubMishaps.add((exchange, _) -> sleep());
            assertEnds(
                    "fetching config.json of model owner/name",
                    threads,
                    () -> patientHub().file(REPO, "config.json"));
        }
    }

    @Test
    void aListWithoutAnEndEnds() throws Exception {
        server.hubMishaps.add(FakeHub.drips(20));
        assertEnds(
                "listing model owner/name",
                Thread.ofPlatform(),
                () -> patientHub().names(REPO, names -> names));
    }

    @Test
    void aThreadThatIsInterruptedAlreadyGetsWhatIsHere() {
        Hub hub = patientHub();
        Path file = hub.file(REPO, "config.json");
        RunInterruptedException e;
        Thread.currentThread().interrupt();
        try {
            assertEquals(file, hub.file(REPO, "config.json"));
            e = assertThrows(RunInterruptedException.class, () -> hub.file(REPO, "other.json"));
        } finally {
            assertTrue(Thread.interrupted(), "the interrupt status is kept");
        }
        assertEquals("interrupted while fetching other.json of model owner/name", e.getMessage());
    }

    private static void sleep() {
        try {
            Thread.sleep(LONG_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
