package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.model.HookPoint;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A plan for every SAE of the registry, without a network. */
class SaePlanTest {
    private static final List<SaeRegistry.Entry> ALL =
            SaeRegistry.bundled().entries().toList();

    private static final long WIDTHS_UNTOLD = 313;

    /** Returns the reasons for which models are not supported, by name and alias; an empty one for those that are. */
    private static Map<String, String> models() throws IOException {
        Map<String, String> models = new HashMap<>();
        try (InputStream in = SaePlanTest.class.getResourceAsStream("/io/github/panascope/families/models.json")) {
            for (JsonNode model : JsonMapper.shared().readTree(in).get("models")) {
                String reason = model.has("family")
                        ? ""
                        : model.path("not_supported").asString("of no family that is supported");
                models.put(model.get("name").stringValue(), reason);
                for (JsonNode alias : model.path("aliases")) models.put(alias.stringValue(), reason);
            }
        }
        return models;
    }

    @Test
    void almostAllOfTheRegistryLoads() throws IOException {
        Map<String, String> models = models();
        Map<String, List<String>> rest = new TreeMap<>();
        for (SaeRegistry.Entry sae : ALL) {
            String model = models.getOrDefault(sae.model(), "not listed");
            String refusal = SaePlan.of(sae).refusal();
            if (refusal == null && model.isEmpty()) continue;
            String reason = refusal != null ? "layout '" + sae.loader() + "'" : "model " + sae.model() + ": " + model;
            rest.computeIfAbsent(sae.release() + ", " + reason, _ -> new ArrayList<>())
                    .add(sae.id());
        }
        int refused = rest.values().stream().mapToInt(List::size).sum();
        double share = 1 - (double) refused / ALL.size();
        System.out.printf("%d of %d SAEs load, %.2f %%%n", ALL.size() - refused, ALL.size(), 100 * share);
        rest.forEach((release, ids) -> System.out.println("  not " + ids.size() + " of " + release));
        assertEquals(13_857, ALL.size());
        // All others belong to Qwen 3.5, to mixtures of experts, or are temporal.
        assertEquals(425, refused, rest.keySet()::toString);
        assertEquals(0.97, Math.round(100 * share) / 100.0);
        assertEquals(13_432, ALL.stream().filter(Sae::supports).count());
    }

    /** The filter by width finds almost all; of the others only the configuration or the weights tell it. */
    @Test
    void mostNamesTellTheWidth() {
        Map<String, Long> untold = ALL.stream()
                .filter(sae -> SaePlan.of(sae).dSae() == 0)
                .collect(Collectors.groupingBy(SaeRegistry.Entry::release, TreeMap::new, Collectors.counting()));
        assertEquals(WIDTHS_UNTOLD, untold.values().stream().mapToLong(n -> n).sum(), untold::toString);
    }

    @Test
    void everyPlanNamesItsFilesAndItsHookPoint() {
        Map<String, Long> withoutHook = ALL.stream()
                .filter(sae -> SaePlan.of(sae).hookName() == null)
                .collect(Collectors.groupingBy(SaeRegistry.Entry::release, TreeMap::new, Collectors.counting()));
        assertEquals(Map.of("mntss-gemma-2-2b-2.5m-clt-as-per-layer", 26L), withoutHook);
        for (SaeRegistry.Entry sae : ALL) {
            SaePlan plan = SaePlan.of(sae);
            if (plan.hookName() != null)
                assertTrue(HookPoint.of(plan.hookName()).isPresent(), sae.name() + " at " + plan.hookName());
            assertEquals(plan.refusal() == null, !plan.files().isEmpty(), sae.name());
            for (String file : plan.allFiles())
                assertFalse(file.startsWith("/") || file.contains("//") || file.contains(".."), file);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "gemma-scope-2b-pt-res-canonical/layer_20/width_16k/canonical, blocks.20.hook_resid_post, 16384",
        "gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6, hook_embed, 4096",
        "gemma-scope-9b-pt-att-canonical/layer_0/width_131k/canonical, blocks.0.attn.hook_z, 131072",
        "gemma-scope-2-4b-pt-transcoders-all/layer_0_width_262k_l0_big, blocks.0.mlp.hook_in, 262144",
        "gemma-scope-2-1b-pt-res/layer_13_width_1m_l0_big, blocks.13.hook_resid_post, 1048576",
        "llama_scope_lxa_32x/l7a_32x, blocks.7.hook_attn_out, 131072",
        "llama_scope_r1_distill/l0r_800m_slimpajama, blocks.0.hook_resid_post, 32768",
        "qwen-scope-3-8b-base-w64k-l50/layer35, blocks.35.hook_resid_post, 65536",
        "saebench_gemma-2-2b_width-2pow12_date-0108/blocks.12.hook_resid_post__trainer_0,"
                + " blocks.12.hook_resid_post, 4096",
        "gpt2-small-hook-z-kk/blocks.0.hook_z, blocks.0.attn.hook_z, 24576",
        "gpt2-small-res-jb-feature-splitting/blocks.8.hook_resid_pre_768, blocks.8.hook_resid_pre, 768",
        "gpt2-small-resid-post-v5-32k/blocks.1.hook_resid_post, blocks.1.hook_resid_post, 32768",
        "gemma-2b-res-jb/blocks.6.hook_resid_post, blocks.6.hook_resid_post, 16384",
        "mistral-7b-res-wg/blocks.8.hook_resid_pre, blocks.8.hook_resid_pre, 0",
        "deepseek-r1-distill-llama-8b-qresearch/blocks.19.hook_resid_post, blocks.19.hook_resid_post, 65536"
    })
    void namesTellTheHookPointAndTheWidth(String name, String hook, int width) {
        SaePlan plan = SaePlan.of(SaeRegistry.bundled().find(name));
        assertEquals(hook, plan.hookName());
        assertEquals(width, plan.dSae());
    }

    @Test
    void theFilesAreThoseOfTheLayout() {
        assertEquals(
                List.of("layer_20/width_16k/average_l0_71/params.npz"),
                files("gemma-scope-2b-pt-res-canonical/layer_20/width_16k/canonical"));
        assertEquals(
                List.of(
                        "transcoder_all/layer_0_width_262k_l0_big/params.safetensors",
                        "transcoder_all/layer_0_width_262k_l0_big/config.json"),
                files("gemma-scope-2-4b-pt-transcoders-all/layer_0_width_262k_l0_big"));
        assertEquals(
                List.of("config.yaml", "W_enc_25.safetensors", "W_dec_25.safetensors"),
                files("mntss-gemma-2-2b-2.5m-clt-as-per-layer/layer_25"));
        assertEquals(
                List.of(
                        "blocks.8.hook_resid_pre/cfg.json",
                        "blocks.8.hook_resid_pre/sae_weights.safetensors",
                        "blocks.8.hook_resid_pre/sparsity.safetensors"),
                files("gpt2-small-res-jb/blocks.8.hook_resid_pre"));
    }

    private static List<String> files(String name) {
        return SaePlan.of(SaeRegistry.bundled().find(name)).allFiles();
    }

    @Test
    void aRegistryOfOnesOwnIsPlannedAlsoWhereItsNamesAreOthers(@TempDir Path folder) throws IOException {
        Path own = Files.writeString(folder.resolve("own.yaml"), """
            ours:
              repo_id: me/mine
              model: gemma-2-2b
              conversion_func: gemma_2
              saes:
              - id: first
                path: layer_3/width_16k
            """);
        SaeRegistry.Entry sae = SaeRegistry.bundled().with(own).find("ours/first");
        assertTrue(SaePlan.of(sae).refusal().contains("the repository 'me/mine' should name"));
        assertEquals(16_384, SaePlan.of(sae).dSae());
        assertFalse(Sae.supports(sae));
    }

    @Test
    void labelsOfWidthsAreNumbersOfFeatures() {
        assertEquals(Optional.of(16_384), SaePlan.width("16k"));
        assertEquals(Optional.of(65_536), SaePlan.width("65K"));
        assertEquals(Optional.of(131_072), SaePlan.width("128k"));
        assertEquals(Optional.of(131_072), SaePlan.width("131k"));
        assertEquals(Optional.of(1 << 20), SaePlan.width("1m"));
        assertEquals(Optional.of(24_576), SaePlan.width("24576"));
        for (String none : List.of("", "k", "16kb", "0", "-1", "999999999m"))
            assertEquals(Optional.empty(), SaePlan.width(none), none);
    }
}
