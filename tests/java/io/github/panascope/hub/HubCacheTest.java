package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The folder of the cache, which may be read-only, damaged, or used by several at once. */
class HubCacheTest extends HubFixture {
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
    void whatADeadProcessLeftIsNoObstacle() throws IOException {
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
    void twoAtATimeFetchOnce() throws Exception {
        try (var threads = Executors.newFixedThreadPool(6)) {
            Callable<Path> fetch = () -> hub().file(REPO, "big.safetensors");
            for (Future<Path> file : threads.invokeAll(Collections.nCopies(6, fetch)))
                assertArrayEquals(weights, Files.readAllBytes(file.get()));
        }
        assertEquals(1, server.storageRequests().size(), server.requests.toString());
    }
}
