import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;

/**
 * The SAELens tutorial: how many features are active at a position (L0), and how well the model predicts with the
 * SAE's reconstruction in the place of the activation, on 32 rows of text and at one prompt.
 *
 * <p>The arguments are MODEL SAE DATASET; without them, the demo bundle is used.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/Tutorial.java gpt2-small gpt2-small-res-jb/blocks.8.hook_resid_pre \
 *     NeelNanda/pile-10k
 * }</pre>
 */
public class Tutorial {
    private static final int ROWS = 32;
    private static final int BARS = 10;

    public static void main(String[] args) {
        String[] names = args.length == 3
                ? args
                : new String[] {
                    DemoBundle.find().model(),
                    DemoBundle.find().sae(),
                    DemoBundle.find().dataset()
                };
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(names[0]);
                var sae = Sae.fromPretrained(names[1])) {
            var texts = TextDataset.of(names[2], Hub.fromEnvironment());
            var tokens = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach,
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    sae.config().contextSize());

            var metrics = TutorialMetrics.run(model, sae, tokens.batch(0, ROWS));
            System.out.printf("average L0                 %.2f%n", metrics.l0().mean());
            System.out.printf(
                    "loss of the model          %.4f%n", metrics.loss().original());
            System.out.printf(
                    "  with the reconstruction  %.4f%n", metrics.loss().reconstructed());
            System.out.printf(
                    "  with zeros instead       %.4f%n", metrics.loss().zero());
            System.out.printf(
                    "loss recovered             %.1f%%%n", 100 * metrics.loss().score());
            printHistogram(metrics.l0().histogram());

            Hooks replaced = Hooks.at(sae.config().hookName(), (activation, _) -> sae.reconstruct(activation));
            String prompt = "When John and Mary went to the shops, John gave the bag to";
            for (var each : List.of(Hooks.NONE, replaced)) {
                var top = TestPrompt.run(model, prompt, List.of(" Mary"), each, 3)
                        .positions()
                        .getFirst();
                System.out.printf("%n%s ...%n", each == Hooks.NONE ? prompt : prompt + ", through the SAE,");
                for (var candidate : top.top())
                    System.out.printf("  %6.2f%%  '%s'%n", 100 * candidate.prob(), candidate.token());
            }
        }
    }

    private static void printHistogram(long[] counts) {
        int width = (counts.length + BARS - 1) / BARS;
        System.out.println("positions by L0");
        for (int from = 0; from < counts.length; from += width) {
            int end = Math.min(counts.length, from + width);
            long positions = Arrays.stream(counts, from, end).sum();
            System.out.printf("  %4d to %4d %6d  %s%n", from, end - 1, positions, "*".repeat((int) positions / 50));
        }
    }
}
