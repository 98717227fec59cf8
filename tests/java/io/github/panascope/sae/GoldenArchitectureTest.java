package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every architecture, normalisation and layout against what SAELens computed: see tests/peers/make_saes.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GoldenArchitectureTest {
    /** Another folder holds the releases in their real shapes. */
    private static final Path FOLDER = Path.of(System.getProperty("panascope.saes", "tests/resources/golden/saes"));

    private static final Hub HUB =
            Hub.of(Map.of("HF_HUB_CACHE", FOLDER.resolve("hub").toString(), "HF_HUB_OFFLINE", "1"));
    private static final SaeRegistry REGISTRY =
            SaeRegistry.bundled().with(Path.of("tests/resources/golden/saes/registry.yaml"));

    static List<String> saved() throws IOException {
        try (var folders = Files.list(FOLDER)) {
            return folders.filter(folder -> Files.exists(folder.resolve("cfg.json")))
                    .map(folder -> folder.getFileName().toString())
                    .sorted()
                    .toList();
        }
    }

    private static Sae load(String name) {
        return Sae.fromPretrained(
                name, Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(HUB).registry(REGISTRY));
    }

    private static void compare(Safetensors expected, Sae sae, String what) {
        Tensor x = TestDevice.on(expected.tensor("x"));
        Golden.assertClose(expected.tensor("features"), sae.encode(x), what + " features");
        Golden.assertClose(expected.tensor("out"), sae.reconstruct(x), what + " out");
        if (expected.has("decoded"))
            Golden.assertClose(expected.tensor("decoded"), sae.decode(sae.encode(x)), what + " decoded");
        if (expected.has("error"))
            Golden.assertClose(
                    expected.tensor("error"),
                    sae.reconstructWithErrorTerm(x, features -> features),
                    what + " with error term");
    }

    /** Where tests/peers/check_saved.py finds it, if that is asked for. */
    private static void keep(Sae sae, String name) {
        String saved = System.getProperty("panascope.saved");
        if (saved != null) sae.save(Path.of(saved).resolve(name));
    }

    @ParameterizedTest
    @MethodSource("saved")
    void equalsSaeLensLoadedFoldedAndSavedAgain(String name, @TempDir Path folder) {
        try (var scope = TensorScope.open();
                Sae sae = load(FOLDER.resolve(name).toString())) {
            Safetensors expected = Safetensors.open(FOLDER.resolve(name).resolve("expected.safetensors"), scope);
            compare(expected, sae, name);
            sae.save(folder);
            keep(sae, name);
            try (Sae again = load(folder.toString())) {
                assertEquals(sae.config(), again.config());
                compare(expected, again, name + " saved and loaded");
            }
            if (!expected.has("folded_out")) {
                assertThrows(IllegalStateException.class, sae::foldWDecNorm);
                return;
            }
            Tensor before = sae.encode(TestDevice.on(expected.tensor("x")));
            try (Sae folded = sae.foldWDecNorm()) {
                keep(folded, name + "@folded");
                Golden.assertClose(
                        expected.tensor("folded_features"),
                        folded.encode(TestDevice.on(expected.tensor("x"))),
                        name + " folded features");
                Golden.assertClose(
                        expected.tensor("folded_out"),
                        folded.reconstruct(TestDevice.on(expected.tensor("x"))),
                        name + " folded out");
            }
            assertTrue(
                    before.sameElements(sae.encode(TestDevice.on(expected.tensor("x")))),
                    "folding changed the SAE it started from");
        }
    }

    static List<String> released() {
        return SaeRegistry.bundled().releases().stream()
                .filter(release -> SaeRegistry.bundled()
                        .entries()
                        .anyMatch(entry ->
                                entry.release().equals(release) && entry.model().equals("gpt2-small")))
                .toList();
    }

    /** One SAE of each of GPT-2's releases, in its layout and with the keys of its files. */
    @ParameterizedTest
    @MethodSource("released")
    void equalsSaeLensOnEveryReleaseForGpt2(String release) throws IOException {
        assertEquals(18, released().size());
        Path folder = FOLDER.resolve("published_" + release);
        String name = Files.readString(folder.resolve("id.txt"));
        try (var scope = TensorScope.open();
                Sae sae = load(name)) {
            compare(Safetensors.open(folder.resolve("expected.safetensors"), scope), sae, name);
            assertEquals("gpt2-small", sae.config().modelName());
            assertEquals(REGISTRY.find(name).neuronpediaId(), sae.config().neuronpediaId());
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"AutoEncoder", "GatedAutoEncoder", "AutoEncoderTopK", "BatchTopKSAE", "JumpReluAutoEncoder"})
    void equalsSaeLensOnDictionaryLearning(String type) {
        try (var scope = TensorScope.open();
                Sae sae = load("dictionaries/" + type)) {
            compare(
                    Safetensors.open(FOLDER.resolve("published_" + type).resolve("expected.safetensors"), scope),
                    sae,
                    type);
            assertEquals("gpt2", sae.config().modelName());
        }
    }

    @Test
    void theRegistrysWordStandsAboveTheFiles() {
        try (Sae sae = load("gpt2-small-mlp-tm/blocks.1.hook_mlp_out")) {
            assertEquals(Normalization.NONE, sae.config().normalization(), "folded");
            assertEquals(
                    Map.of("center_writing_weights", true),
                    sae.config().modelKwargs().all());
            assertEquals(
                    "\"Skylion007/openwebtext\"",
                    sae.config().metadata().other().get("dataset_path"));
            assertTrue(sae.advice().isEmpty());
        }
        try (Sae sae = load(FOLDER.resolve("standard_expected_average_only_in").toString())) {
            assertTrue(
                    sae.advice().getFirst().contains("no norm_scaling_factor is known"),
                    sae.advice().toString());
            assertEquals("{\"kept\":[1,2]}", sae.config().metadata().other().get("extra"), "metadata is kept whole");
        }
        try (Sae sae = load("gpt2-small-resid-post-v5-32k/blocks.1.hook_resid_post")) {
            assertEquals("gpt2-small/1-res_post_32k-oai", sae.config().neuronpediaId());
            assertEquals(
                    List.of(true, 40L),
                    List.of(
                            sae.logSparsity().isPresent(),
                            sae.logSparsity().orElseThrow().size(0)));
        }
    }

    @Test
    void anEditPassesThroughWithTheErrorTerm() {
        try (var scope = TensorScope.open();
                Sae sae = load(FOLDER.resolve("standard_layer_norm").toString())) {
            Tensor x = Safetensors.open(FOLDER.resolve("standard_layer_norm/expected.safetensors"), scope)
                    .tensor("x")
                    .to(TestDevice.DEVICE);
            Tensor zeroed = sae.reconstructWithErrorTerm(x, features -> features.zero_());
            // What is left without features is the error and the decoder's bias on the input's scale.
            assertTrue(x.sub(zeroed).norm(-1, true).mean().item() > 0.1);
            assertTrue(sae.encode(x).sum(DType.FLOAT64).item() > 0, "the edit got a copy");
        }
    }
}
