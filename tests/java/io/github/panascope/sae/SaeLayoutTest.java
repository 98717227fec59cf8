package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Tiny SAEs in every layout, as SAELens's loaders read them: see tests/peers/make_sae_layouts.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class SaeLayoutTest {
    private static final Path FOLDER = Path.of("tests/resources/golden/sae_layouts");
    private static final Hub HUB =
            Hub.of(Map.of("HF_HUB_CACHE", FOLDER.resolve("hub").toString(), "HF_HUB_OFFLINE", "1"));

    /** The values that are others here than in SAELens, by case: each is an error there. */
    private static final Map<String, Map<String, String>> CORRECTED = Map.of(
            // z is flattened as for every other SAE there.
            "gemma_3_att",
            Map.of("reshape_activations", "hook_z"),
            // hook_mlp_in is before the norm in TransformerLens, and the files say that it is after it.
            "gemma_3_skip_transcoder",
            Map.of("hook_name", "blocks.7.mlp.hook_in", "model_from_pretrained_kwargs", "{\"fold_ln\":false}"),
            "gemma_3_transcoder_unconfigured",
            Map.of("hook_name", "blocks.0.mlp.hook_in", "model_from_pretrained_kwargs", "{\"fold_ln\":false}"),
            // The registry names the model that it was trained on.
            "llama_scope_r1_distill",
            Map.of("model_name", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"),
            // A name without its owner is no model's.
            "dictionary_batch_topk",
            Map.of("model_name", "meta-llama/Llama-3.1-8B-Instruct"),
            // A batch size is no length of rows.
            "mwhanna_transcoder",
            Map.of("context_size", "0"),
            "mwhanna_transcoder_unconfigured",
            Map.of("context_size", "0", "model_name", "qwen3-14b"));

    static List<String> cases() throws IOException {
        try (var folders = Files.list(FOLDER)) {
            return folders.filter(folder -> Files.exists(folder.resolve("name.txt")))
                    .map(folder -> folder.getFileName().toString())
                    .sorted()
                    .toList();
        }
    }

    private static SaeRegistry.Entry entry(String name) throws IOException {
        return SaeRegistry.bundled().find(Files.readString(FOLDER.resolve(name).resolve("name.txt")));
    }

    private static Sae load(String name, DType dtype) throws IOException {
        return Sae.fromPretrained(
                entry(name).name(),
                Sae.Options.DEFAULT.device(TestDevice.DEVICE).dtype(dtype).hub(HUB));
    }

    @Test
    void everyLayoutHasACase() throws IOException {
        assertEquals(22, cases().size());
        assertEquals(
                SaeLayout.SUPPORTED.keySet().stream()
                        .filter(loader -> !loader.equals("sae_lens") && !loader.equals("connor_rob_hook_z"))
                        .collect(Collectors.toSet()),
                cases().stream().map(SaeLayoutTest::loader).collect(Collectors.toSet()));
    }

    private static String loader(String name) {
        try {
            return entry(name).loader();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void theWeightsAreSaeLenss(String name) throws IOException {
        try (var scope = TensorScope.open();
                Sae sae = load(name, DType.FLOAT32)) {
            Safetensors expected = Safetensors.open(FOLDER.resolve(name).resolve("expected.safetensors"), scope);
            boolean embedding = name.equals("gemma_2_embedding");
            Tensor x = TestDevice.on(expected.tensor("x"));
            Tensor out = expected.tensor("out");
            for (String weight : sae.weightNames()) {
                Tensor wanted = expected.tensor(weight);
                if (embedding && weight.equals("b_dec")) { // SAELens forgets to scale it
                    wanted = wanted.mul(Math.sqrt(8));
                    out = out.add(wanted.sub(expected.tensor(weight)));
                }
                assertTrue(TestDevice.on(wanted).sameElements(sae.weight(weight)), name + ": " + weight);
            }
            assertEquals(expected.names().size() - 3, sae.weightNames().size());
            Golden.assertClose(expected.tensor("features"), sae.encode(x), name + " features");
            Golden.assertClose(out, sae.reconstruct(x), name + " out");
            float[] features = expected.tensor("features").toFloats();
            assertTrue(sum(features) > 0, name + " has active features");
        }
    }

    private static double sum(float[] numbers) {
        double sum = 0;
        for (float number : numbers) sum += number;
        return sum;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void theConfigurationIsSaeLenss(String name) throws IOException {
        JsonNode expected = JsonMapper.shared()
                .readTree(Files.readString(FOLDER.resolve(name).resolve("expected.json")));
        try (Sae sae = load(name, DType.FLOAT32)) {
            JsonNode found = JsonMapper.shared().readTree(sae.config().toJson("float32"));
            Map<String, String> wanted = flat(expected);
            wanted.putAll(CORRECTED.getOrDefault(name, Map.of()));
            wanted.entrySet()
                    .removeIf(each -> each.getKey().equals("context_size")
                            && each.getValue().equals("0"));
            Map<String, String> here = flat(found);
            assertEquals(wanted, here, name);
            assertTrue(
                    HookPoint.of(sae.config().hookName()).isPresent(),
                    sae.config().hookName());
        }
    }

    /** Returns the values of a configuration and its metadata by key, except those of the peers' own bookkeeping. */
    private static Map<String, String> flat(JsonNode config) {
        Map<String, String> values = new HashMap<>();
        config.forEachEntry((key, value) -> values.put(key, value.isString() ? value.stringValue() : value.toString()));
        config.get("metadata")
                .forEachEntry(
                        (key, value) -> values.put(key, value.isString() ? value.stringValue() : value.toString()));
        values.keySet().removeAll(List.of("metadata", "sae_lens_version", "sae_lens_training_version"));
        values.values().removeIf("null"::equals);
        return values;
    }

    /** The plan is made of the registry alone, and what is loaded keeps to it. */
    @ParameterizedTest
    @MethodSource("cases")
    void thePlanIsWhatIsFetched(String name) throws IOException {
        SaeRegistry.Entry entry = entry(name);
        SaePlan plan = SaePlan.of(entry);
        HubRepo repo = HubRepo.model(entry.repo());
        for (String file : plan.files()) assertTrue(HUB.cachedFile(repo, file).isPresent(), file);
        List<Path> planned = plan.files().stream()
                .map(file -> HUB.cachedFile(repo, file).orElseThrow())
                .toList();
        assertTrue(planned.containsAll(Sae.fetch(entry.name(), HUB, SaeRegistry.bundled())), name);
        if (entry.loader().equals("mntss_clt_layer_transcoder")) return; // its configuration says the hook point
        try (Sae sae = load(name, DType.FLOAT32)) {
            assertEquals(plan.hookName(), sae.config().hookName());
        }
    }

    /** With bfloat16 the factor of the activations is folded into weights of that dtype, as in SAELens. */
    @Test
    void scalesAreFoldedInTheDtypeOfTheSae() throws IOException {
        try (var _ = TensorScope.open();
                Sae sae = load("llama_scope", DType.BFLOAT16);
                Sae precise = load("llama_scope", DType.FLOAT32)) {
            double factor = entry("llama_scope").normScalingFactor();
            Tensor unscaled = precise.weight("W_dec").mul(factor).to(DType.BFLOAT16);
            assertTrue(unscaled.div(factor).sameElements(sae.weight("W_dec")));
            assertEquals(Normalization.NONE, sae.config().normalization());
        }
    }

    @Test
    void whatHasNoMeaningAloneIsSaid() throws IOException {
        try (Sae sae = load("mntss_clt_layer_transcoder", DType.FLOAT32)) {
            assertTrue(sae.advice().getFirst().contains("decoders are added up"), sae.advice()::toString);
        }
        try (Sae sae = load("gemma_2", DType.FLOAT32)) {
            assertEquals(List.of(), sae.advice());
        }
    }

    @Test
    void otherLayoutsAreRefusedByName() {
        String temporal = "temporal-sae-gemma-2-2b/blocks.12.hook_resid_post";
        InputException e =
                assertThrows(InputException.class, () -> Sae.fromPretrained(temporal, Sae.Options.DEFAULT.hub(HUB)));
        assertEquals(
                "SAE " + temporal + " (of gemma-2-2b) is published in the layout 'temporal', whose features depend on"
                        + " earlier positions too; such SAEs are not supported.",
                e.getMessage());
        assertFalse(Sae.supports(SaeRegistry.bundled().find(temporal)));
    }
}
