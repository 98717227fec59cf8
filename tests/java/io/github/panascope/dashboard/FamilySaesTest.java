package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.Edits;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.HookedSaeTransformer;
import io.github.panascope.sae.HookedSaeTransformer.Splice;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** SAEs and transcoders at every kind of hook point of other families than GPT-2's: metrics and dashboards. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class FamilySaesTest {
    private static final int FEATURES = 40;

    @TempDir
    private Path folder;

    private static Tensor random(Random random, long... sizes) {
        float[] values = new float[(int) Shape.of(sizes).elements()];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian() * 0.3f;
        return Tensor.of(values, Shape.of(sizes));
    }

    private static HookedTransformer model(String family) {
        Path folder = Path.of("tests/resources/golden/families").resolve(family).resolve("model");
        return HookedTransformer.fromPretrained(folder.toString(), TestDevice.OPTIONS);
    }

    private Sae sae(HookedTransformer model, String in, String out) throws IOException {
        Random random = new Random(3);
        int dIn = HookPoint.of(in).orElseThrow().width(model.config());
        int dOut = HookPoint.of(out).orElseThrow().width(model.config());
        Safetensors.write(
                folder.resolve("sae_weights.safetensors"),
                Map.of(
                        "W_enc",
                        random(random, dIn, FEATURES),
                        "b_enc",
                        random(random, FEATURES),
                        "W_dec",
                        random(random, FEATURES, dOut),
                        "b_dec",
                        random(random, dOut)));
        String reshape = HookPoint.of(in).orElseThrow().hasHeads() ? "hook_z" : "none";
        Files.writeString(
                folder.resolve("cfg.json"),
                ("{\"architecture\": \"%s\", \"d_in\": %d, \"d_sae\": %d, \"d_out\": %d, \"apply_b_dec_to_input\":"
                                + " false, \"reshape_activations\": \"%s\", \"metadata\": {\"hook_name\": \"%s\","
                                + " \"hook_name_out\": \"%s\", \"prepend_bos\": true}}")
                        .formatted(in.equals(out) ? "standard" : "transcoder", dIn, FEATURES, dOut, reshape, in, out));
        return TestDevice.sae(folder);
    }

    /** Rows of tokens from 5 on, which are not special. */
    private static Tensor tokens(HookedTransformer model, int rows, int positions) {
        Random random = new Random(7);
        long[] ids = random.longs((long) rows * positions, 5, model.config().dVocab())
                .toArray();
        return Tensor.of(ids, Shape.of(rows, positions));
    }

    @ParameterizedTest
    @CsvSource({
        "gemma2, attn.hook_z, attn.hook_z",
        "gemma2, hook_mlp_out, hook_mlp_out",
        "gemma2, hook_resid_post, hook_resid_post",
        "gemma2, ln2.hook_normalized, hook_mlp_out",
        "gemma3, mlp.hook_in, hook_mlp_out",
        "gemma3, attn.hook_z, attn.hook_z",
        "pythia, attn.hook_z, attn.hook_z",
        "pythia, hook_resid_pre, hook_resid_pre",
        "pythia, ln2.hook_normalized, hook_mlp_out",
        "llama3, attn.hook_k, attn.hook_k",
        "llama3, mlp.hook_post, mlp.hook_post",
        "qwen2, hook_attn_out, hook_attn_out",
        "qwen3, mlp.hook_pre, mlp.hook_pre"
    })
    void metricsAndDashboardsAreThoseOfHooks(String family, String from, String to) throws IOException {
        String in = "blocks.1." + from;
        String out = "blocks.1." + to;
        try (var _ = TensorScope.open();
                HookedTransformer model = model(family);
                Sae sae = sae(model, in, out)) {
            Tensor tokens = tokens(model, 6, 12);
            double plain = model.forward(tokens).loss();
            Hooks byHand = Hooks.at(out, (activation, _) -> {
                Tensor input = model.forward(tokens).activation(in);
                return sae.reconstruct(input)
                        .reshape(activation.shape().sizes())
                        .promote();
            });
            double replaced = model.forward(tokens).hooks(byHand).loss();
            double zero =
                    model.forward(tokens).hooks(Hooks.at(out, Edits.zero())).loss();
            assertNotEquals(plain, replaced, 1e-4);
            HookedSaeTransformer spliced = HookedSaeTransformer.of(model).addSae(sae);
            assertEquals(replaced, spliced.forward(tokens).loss(), 1e-4);
            HookedSaeTransformer exact = HookedSaeTransformer.of(model).addSae(sae, Splice.DEFAULT.useErrorTerm(true));
            assertEquals(plain, exact.forward(tokens).loss(), 1e-4);
            TutorialMetrics tutorial = TutorialMetrics.run(model, sae, tokens);
            assertEquals(plain, tutorial.loss().original(), 1e-4);
            assertEquals(replaced, tutorial.loss().reconstructed(), 1e-4);
            assertEquals(zero, tutorial.loss().zero(), 1e-4);
            Map<String, Double> losses = SaeEvals.run(model, sae, tokens, 3, 6, false, _ -> {})
                    .metrics()
                    .get("model_performance_preservation");
            assertEquals(plain, losses.get("ce_loss_without_sae"), 1e-4);
            assertEquals(replaced, losses.get("ce_loss_with_sae"), 1e-4);
            assertEquals(zero, losses.get("ce_loss_with_ablation"), 1e-4);
            dashboards(model, sae, tokens, out);
        }
    }

    private void dashboards(HookedTransformer model, Sae unfolded, Tensor tokens, String out) {
        int[] features = IntStream.range(0, FEATURES).toArray();
        int[] ids = Arrays.stream(tokens.toLongs()).mapToInt(Math::toIntExact).toArray();
        List<FeatureDashboard> found = new ArrayList<>();
        try (Sae sae = unfolded.foldWDecNorm();
                FeatureStore store = FeatureStore.open(
                        folder.resolve("store"),
                        StoreIdentity.of(model, sae, "random", 12),
                        features,
                        sae.config().dIn())) {
            FeatureCollector.into(store, model, sae)
                    .collect(row -> Arrays.copyOfRange(ids, (int) row * 12, (int) row * 12 + 12), 0, 6);
            DashboardConfig config =
                    DashboardConfig.builder().performAblationExperiments(true).build();
            Dashboards.of(model, sae, store, config).forEach(features, 1, found::add);
            assertEquals(FEATURES, found.size());
            PromptDashboard prompt = PromptDashboard.of(model, sae, Arrays.copyOf(ids, 12), config);
            found.forEach(prompt::accept);
            assertTrue(prompt.features().length > 0);
            boolean direct = !out.endsWith("mlp.hook_pre") && !out.endsWith("hook_k");
            for (FeatureDashboard each : found) {
                assertEquals(direct, each.logitsTable() != null);
                if (!direct) continue;
                Tensor logits = logits(model, sae, out, each.feature());
                int best = (int) logits.argmax(-1).item();
                assertEquals(best, each.logitsTable().topTokenIds()[0]);
                assertEquals(logits.select(0, best).item(), each.logitsTable().topLogits()[0], 1e-3);
            }
        }
    }

    /** The logits of what a feature adds to the stream, [d_vocab]. */
    private static Tensor logits(HookedTransformer model, Sae sae, String out, int feature) {
        Tensor direction = sae.weight("W_dec").select(0, feature).unsqueeze(0);
        String block = out.substring(0, "blocks.1.".length());
        if (out.endsWith("hook_z"))
            direction = direction.matmul(
                    model.weight(block + "attn.W_O").reshape(-1, model.config().dModel()));
        if (out.endsWith("hook_post")) direction = direction.matmul(model.weight(block + "mlp.W_out"));
        if (out.endsWith("hook_z") && model.hasWeight(block + "ln1_post.w"))
            direction = direction.mul(model.weight(block + "ln1_post.w"));
        return direction.matmul(model.weight("unembed.W_U")).select(0, 0);
    }
}
