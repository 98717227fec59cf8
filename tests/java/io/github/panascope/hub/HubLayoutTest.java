package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.lens.HookedTransformer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The folders and links of the hub cache, which are those of Hugging Face, and what is read from them offline. */
class HubLayoutTest extends HubFixture {
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
    void namesComeFromTheCacheUnlessPartsAreMissing() throws IOException {
        server.small("/datasets/o/t/resolve/main/data/train-00000-of-00002.parquet", "a")
                .small("/datasets/o/t/resolve/main/data/train-00001-of-00002.parquet", "b");
        HubRepo texts = HubRepo.dataset("o/t");
        hub().file(texts, "data/train-00000-of-00002.parquet");
        assertMessage(
                "data/train-00001-of-00002.parquet is missing",
                () -> hub("HF_HUB_OFFLINE", "1").names(texts, HubFixture::parquet));
        List<String> names = hub().names(texts, HubFixture::parquet);
        assertEquals(List.of("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"), names);
        assertEquals("b", Files.readString(hub().files(texts, names).get(1)));
        assertEquals(names, hub("HF_HUB_OFFLINE", "1").names(texts, HubFixture::parquet));
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
                () -> TextDataset.of("o/t", hub("HF_DATASETS_OFFLINE", "1")));
    }

    @Test
    void theVariablesTakeHuggingFacesDefaults() {
        InputException e = assertThrows(
                InputException.class,
                () -> Hub.of(Map.of("HF_HOME", cache.toString(), "HF_HUB_OFFLINE", "YES"))
                        .file(HubRepo.model("gpt2"), "config.json"));
        assertTrue(e.getMessage().contains(cache.resolve("hub").toString()), e.getMessage());
    }

    @Test
    void whatTheyAreIsSaidInALine() {
        assertEquals("Hub " + server.endpoint() + " with the cache " + cache, hub().toString());
        assertEquals(
                "Hub https://hub.example with the cache " + cache,
                hub("HF_ENDPOINT", "https://us:secret-token@hub.example").toString());
        assertTrue(SaeRegistry.bundled().toString().startsWith("SaeRegistry"));
    }
}
