import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * Feature ablation: sets the strongest features of a prompt to zero, one by one and then all together, and prints
 * what the model predicts without them. The SAE is attached with its error term, so that nothing else changes.
 *
 * <p>The arguments are MODEL SAE PROMPT ANSWER; without them, the demo bundle is used.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/FeatureAblation.java gpt2-small \
 *     gpt2-small-res-jb/blocks.8.hook_resid_pre "The Eiffel Tower is in the city of" \
 *     " Paris"
 * }</pre>
 */
public class FeatureAblation {
    private static final int FEATURES = 8;

    public static void main(String[] args) {
        boolean given = args.length > 3;
        String prompt = given ? args[2] : "When John and Mary went to the shops, John gave the bag to";
        String answer = given ? args[3] : " Mary";
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model());
                var sae = Sae.fromPretrained(given ? args[1] : DemoBundle.find().sae())) {
            Tensor tokens = model.toTokens(prompt);
            HookedTransformer spliced = model.with(sae.attachment(true));
            Tensor acts =
                    sae.encode(model.forward(tokens).activation(sae.config().hookName()));
            // Summed over the positions after <|endoftext|>, where features are active that mean only that.
            var strongest =
                    acts.select(0, 0).slice(0, 1, tokens.size(1)).sum(0, false).topk(FEATURES);
            int[] features = strongest.indices().toInts();

            System.out.println(prompt + " ...");
            System.out.printf(
                    "%-12s %10s %9s %8s   %s%n", "without", "activation", "'" + answer + "'", "loss", "best token");
            report("nothing", 0, spliced, tokens, Hooks.NONE, answer);
            for (int i = 0; i < FEATURES; i++)
                report(
                        "feature " + features[i],
                        strongest.values().select(0, i).item(),
                        spliced,
                        tokens,
                        sae.ablation(features[i]),
                        answer);
            report(
                    "all " + FEATURES,
                    strongest.values().sum(0, false).item(),
                    spliced,
                    tokens,
                    sae.ablation(features),
                    answer);
        }
    }

    private static void report(
            String without, double activation, HookedTransformer model, Tensor tokens, Hooks hooks, String answer) {
        try (var _ = TensorScope.open()) {
            var run = model.forward(tokens).hooks(hooks).logitsAndLoss();
            Tensor next =
                    run.logits().select(0, 0).select(0, tokens.size(1) - 1).softmax(0);
            int best = (int) next.argmax(0).item();
            System.out.printf(
                    "%-12s %10.2f %8.2f%% %8.4f   '%s'%n",
                    without,
                    activation,
                    100 * next.select(0, model.toSingleToken(answer)).item(),
                    run.loss(),
                    model.toSingleStrToken(best));
        }
    }
}
