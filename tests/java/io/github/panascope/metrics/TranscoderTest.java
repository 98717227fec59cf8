package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Transcoders in a model, which read one hook point and write another, against the same done step by step. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class TranscoderTest {
    private static final int WIDTH = 48;
    private static final int FEATURES = 64;

    @TempDir
    private Path folder;

    private static Tensor random(Random random, long... sizes) {
        float[] values = new float[(int) Shape.of(sizes).elements()];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian() * 0.2f;
        return Tensor.of(values, Shape.of(sizes));
    }

    private Sae transcoder(String architecture, String in, String out) throws IOException {
        Random random = new Random(3);
        Map<String, Tensor> weights = new LinkedHashMap<>(Map.of(
                "W_enc",
                random(random, WIDTH, FEATURES),
                "b_enc",
                random(random, FEATURES),
                "W_dec",
                random(random, FEATURES, WIDTH),
                "b_dec",
                random(random, WIDTH)));
        if (architecture.startsWith("skip")) weights.put("W_skip", random(random, WIDTH, WIDTH));
        Safetensors.write(folder.resolve("sae_weights.safetensors"), weights);
        Files.writeString(
                folder.resolve("cfg.json"),
                ("{\"architecture\": \"%s\", \"d_in\": %d, \"d_sae\": %d, \"d_out\": %d, \"apply_b_dec_to_input\":"
                    + " false, \"metadata\": {\"hook_name\": \"%s\", \"hook_name_out\": \"%s\", \"prepend_bos\":"
                    + " true}}")
                        .formatted(architecture, WIDTH, FEATURES, WIDTH, in, out));
        return TestDevice.sae(folder);
    }

    @ParameterizedTest
    @CsvSource({
        "transcoder, ln2.hook_normalized, ln2.hook_normalized",
        "skip_transcoder, mlp.hook_in, ln2.hook_normalized",
        "transcoder, hook_mlp_in, hook_resid_mid"
    })
    void itsOutputTakesTheMlpsPlace(String architecture, String in, String read) throws IOException {
        Golden golden = Golden.standardA();
        try (var scope = TensorScope.open();
                HookedTransformer model = golden.loadModel();
                Sae transcoder = transcoder(architecture, "blocks.1." + in, "blocks.1.hook_mlp_out")) {
            Tensor tokens = Safetensors.open(golden.folder().resolve("expected.safetensors"), scope)
                    .tensor("small_tokens");
            AtomicReference<Tensor> input = new AtomicReference<>();
            Hooks byHand = Hooks.at("blocks.1." + read, (activation, name) -> {
                        input.set(activation.promote());
                        return null;
                    })
                    .and("blocks.1.hook_mlp_out", (activation, name) -> transcoder.reconstruct(input.get()));
            double expected = model.forward(tokens).hooks(byHand).loss();
            assertNotEquals(model.forward(tokens).loss(), expected, 1e-3);
            assertEquals(
                    expected,
                    model.forward(tokens).attach(transcoder.attachment(false)).loss(),
                    1e-6);
            TutorialMetrics evaluation = TutorialMetrics.run(model, transcoder, tokens);
            assertEquals(expected, evaluation.loss().reconstructed(), 1e-5);
            assertEquals(model.forward(tokens).loss(), evaluation.loss().original(), 1e-5);
            assertEquals(
                    model.forward(tokens)
                            .hooks(Hooks.at("blocks.1.hook_mlp_out", (activation, name) -> activation.zerosLike()))
                            .loss(),
                    evaluation.loss().zero(),
                    1e-5);
            String point = "blocks.1." + read;
            Tensor active = transcoder
                    .encode(model.runWithCache(tokens, point::equals).cache().get(point))
                    .gt(0)
                    .sum(-1, false)
                    .slice(1, 1, tokens.size(1));
            assertEquals(active.to(DType.FLOAT32).mean().item(), evaluation.l0().mean(), 1e-4);
        }
    }
}
