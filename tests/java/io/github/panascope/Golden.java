package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A case that the peers wrote: see tests/peers/make_case.py. */
public record Golden(Path folder, JsonNode expected) {
    /**
     * The hooks of the 2.18 models are float32 sums in another order than ours: 1e-4 of the value, or 2e-5 near zero.
     */
    private static final double RELATIVE = 1e-4;

    private static final double ABSOLUTE = 2e-5;

    public static Golden standardA() {
        return of("standard_a");
    }

    /** A case by the name of its folder. */
    public static Golden of(String name) {
        Path folder = Path.of("tests/resources/golden").resolve(name);
        try {
            return new Golden(folder, JsonMapper.shared().readTree(Files.readString(folder.resolve("expected.json"))));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The case's hub cache, offline. */
    public Hub hub() {
        return Hub.of(Map.of("HF_HUB_CACHE", folder.resolve("hub").toString(), "HF_HUB_OFFLINE", "1"));
    }

    /** All cases share one corpus. */
    public Path dataset() {
        return Path.of("tests/resources/golden/standard_a/dataset.parquet");
    }

    public Path model() {
        return folder.resolve("hub/models--gpt2/snapshots/" + "0".repeat(40));
    }

    /** Loads the case's model from its hub cache, on the device of the tests, in float32. */
    public HookedTransformer loadModel() {
        return loadModel(TestDevice.OPTIONS);
    }

    /** Loads the case's model with options of which this case gives the hub. */
    public HookedTransformer loadModel(HookedTransformer.Options options) {
        return HookedTransformer.fromPretrained("gpt2-small", options.hub(hub()));
    }

    /** Loads the case's SAE from its folder, on the device of the tests, in float32. */
    public Sae loadSae() {
        return Sae.fromPretrained(
                folder.resolve("sae").toString(),
                Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(hub()));
    }

    /** Loads the SAE of the case's hub cache by its name in the registry, on the device of the tests, in float32. */
    public Sae loadPublishedSae() {
        return Sae.fromPretrained(
                "gpt2-small-res-jb/blocks.2.hook_resid_pre",
                Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(hub()));
    }

    /** The corpus in rows of tokens, chunked as the case's goldens are. */
    public TokenDataset tokens(HookedTransformer model, int context) {
        return TokenDataset.tokenizeAndConcatenate(
                TextDataset.of(dataset().toString(), hub())::forEach,
                model.tokenizer(),
                ChunkingStrategy.WHITESPACE_CHUNKS,
                context);
    }

    public String text(String key) {
        return expected.get(key).stringValue();
    }

    public double number(String key) {
        return expected.get(key).doubleValue();
    }

    /** Masked scores are -infinity on both sides. */
    public static void assertClose(Tensor expected, Tensor actual, String what) {
        assertEquals(expected.shape(), actual.shape(), what);
        float[] e = expected.toFloats();
        float[] a = actual.toFloats();
        double worst = 0;
        int at = 0;
        for (int i = 0; i < e.length; i++) {
            if (Float.isInfinite(e[i]) || Float.isInfinite(a[i])) {
                assertEquals(e[i], a[i], what + " at " + i);
                continue;
            }
            double excess = Math.abs(e[i] - a[i]) / Math.max(ABSOLUTE, RELATIVE * Math.abs(e[i]));
            if (excess > worst || Double.isNaN(excess)) {
                worst = excess;
                at = i;
            }
        }
        assertTrue(
                worst <= 1,
                what + ": element " + at + " is " + a[at] + ", expected " + e[at] + " (" + worst
                        + " times the tolerance)");
    }
}
