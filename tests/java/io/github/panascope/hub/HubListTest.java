package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Lists of the files of a repository, and which of them are believed. */
class HubListTest extends HubFixture {
    @Test
    void aListThatStopsComingIsNotWaitedFor() {
        for (int i = 0; i < 2; i++) server.hubMishaps.add(FakeHub.stallAfter(2, "[{\"type\"".getBytes(), 5000));
        server.hubMishaps.add(FakeHub.drips(20));
        long start = System.nanoTime();
        assertMessage("bytes came within 0.4 s", () -> hub().names(REPO, HubFixture::parquet));
        assertTrue(System.nanoTime() - start < 4_000_000_000L, "waited " + (System.nanoTime() - start) / 1e9 + " s");
        assertEquals(3, server.requests.size(), server.requests.toString());
    }

    @Test
    void aListWithoutAnEndEnds() {
        for (String next : List.of("?recursive=true", "/api/models/owner/name/tree/main?recursive=true")) {
            for (int i = 0; i < 40; i++)
                server.hubMishaps.add((exchange, _) ->
                        FakeHub.send(exchange, "[]".getBytes(), "Link", "<" + next + ">; rel=\"next\""));
            assertMessage("its list of files has no end", () -> hub().names(REPO, HubFixture::parquet));
            server.hubMishaps.clear();
        }
        for (int i = 0; i < 2000; i++)
            server.hubMishaps.add((exchange, _) -> FakeHub.send(
                    exchange, "[]".getBytes(), "Link", "<?cursor=" + server.requests.size() + ">; rel=\"next\""));
        assertMessage("its list of files has no end", () -> hub().names(REPO, HubFixture::parquet));
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
        assertEquals(List.of("a.parquet", "b.parquet"), hub().names(REPO, HubFixture::parquet));
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
        assertMessage("hub", () -> hub().names(REPO, HubFixture::parquet));
    }

    @Test
    void moreFilesThanCanBeMeantAreRefusedBeforeTheFirst() {
        String many = IntStream.range(0, 1001)
                .mapToObj(i -> "{\"type\":\"file\",\"size\":5000000,\"path\":\"" + i + ".parquet\"}")
                .collect(Collectors.joining(",", "[", "]"));
        server.hubMishaps.add((exchange, _) -> FakeHub.send(exchange, many.getBytes()));
        assertMessage(
                "would be 1001 files (5.0 GB), and at most 1000 are fetched: take another split",
                () -> hub().names(REPO, HubFixture::parquet));
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
                .names(REPO, HubFixture::parquet);
        assertEquals(List.of("model owner/name 1000 5000000000"), told);
    }

    private static Hub.Progress telling(List<String> told) {
        return new Hub.Progress() {
            @Override
            public void update(String file, long done, long total) {}

            @Override
            public void begin(String repo, int files, long bytes) {
                told.add(repo + " " + files + " " + bytes);
            }
        };
    }

    @Test
    void theSizeIsToldBeforeTheFirstByte() {
        List<String> told = new ArrayList<>();
        Hub hub = hub().reporting(telling(told));
        hub.announce(REPO, List.of("config.json", "big.safetensors", "absent.json", "config.json"));
        assertEquals(List.of("model owner/name 2 300002"), told);
        assertEquals(
                List.of("HEAD", "HEAD", "HEAD"),
                server.requests.stream().map(request -> request.split(" ")[0]).toList());
        hub.file(REPO, "big.safetensors");
        hub.announce(REPO, List.of("big.safetensors", "config.json"));
        assertEquals("model owner/name 1 2", told.getLast());
        int asked = server.requests.size();
        hub.announce(REPO, List.of("big.safetensors"));
        hub("HF_HUB_OFFLINE", "1").reporting(telling(told)).announce(REPO, List.of("config.json"));
        assertEquals(2, told.size(), "nothing is to be downloaded");
        assertEquals(asked, server.requests.size());
    }

    @Test
    void manySizesComeFromTheListAndHaveToFitOnTheDisk() {
        String list = IntStream.range(0, 20)
                .mapToObj(i -> "{\"type\":\"file\",\"size\":1000000000000000,\"path\":\"" + i + ".npz\"}")
                .collect(Collectors.joining(",", "[", "]"));
        server.hubMishaps.add((exchange, _) -> FakeHub.send(exchange, list.getBytes()));
        List<String> told = new ArrayList<>();
        assertMessage(
                "model owner/name: 19 files of 19000000.0 GB are to be downloaded, and the hub cache " + cache
                        + " has room for ",
                () -> hub().reporting(telling(told))
                        .announce(
                                REPO,
                                IntStream.range(1, 25).mapToObj(i -> i + ".npz").toList()));
        assertEquals(List.of("model owner/name 19 19000000000000000"), told);
        assertEquals(List.of("GET /api/models/owner/name/tree/main"), server.requests);
    }

    @Test
    void aFileThatDoesNotFitIsRefusedBeforeItIsAskedFor() {
        server.hubMishaps.add(FakeHub.status(
                302,
                "X-Repo-Commit",
                FakeHub.COMMIT,
                "X-Linked-Etag",
                "\"" + "a".repeat(64) + "\"",
                "X-Linked-Size",
                "900000000000000000",
                "Location",
                "http://localhost:1/"));
        assertMessage(
                "(900000000.0 GB are missing, and the disk has room for ", () -> hub().file(REPO, "big.safetensors"));
        assertEquals(1, server.requests.size(), server.requests.toString());
    }

    @Test
    void aNameThatIsNoneIsOneSentence() {
        assertMessage("cannot be the name of a file here", () -> hub().file(REPO, "a\ud800b"));
        hub().file(REPO, "config.json");
        for (String name :
                List.of("\\ud800.parquet", "a\\u0000.parquet", "../x.parquet", "/etc/x.parquet", "x//y.parquet")) {
            server.hubMishaps.add((exchange, _) ->
                    FakeHub.send(exchange, ("[{\"type\":\"file\",\"path\":\"" + name + "\"}]").getBytes()));
            assertMessage("the name of a file", () -> hub().names(REPO, HubFixture::parquet));
        }
        assertMessage("cannot be stored in the hub cache", () -> {
            server.small(PATH + "a".repeat(300), "x");
            hub().file(REPO, "a".repeat(300));
        });
    }
}
