import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.ActivationCache.Mode;
import io.github.panascope.lens.BlockInput;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.plot.HeatMap;
import io.github.panascope.sae.FeatureAttribution;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Attribution: which block outputs write the answer (direct logit attribution), and which features of the SAE it
 * comes from, by gradient and by ablation. Writes a heat map of what each head writes.
 *
 * <p>The arguments are MODEL SAE PROMPT RIGHT WRONG FOLDER; without them, the demo bundle is used, and the picture
 * goes to panascope-out.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/Attribution.java gpt2-small \
 *     gpt2-small-res-jb/blocks.8.hook_resid_pre "The Eiffel Tower is in the city of" \
 *     " Paris" " Rome" pictures
 * }</pre>
 */
public class Attribution {
    private static final int FEATURES = 10;

    public static void main(String[] args) {
        boolean given = args.length > 4;
        String prompt = given ? args[2] : "When John and Mary went to the shops, John gave the bag to";
        Path folder = Path.of(args.length > 5 ? args[5] : "panascope-out");
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model());
                var sae = Sae.fromPretrained(given ? args[1] : DemoBundle.find().sae())) {
            Tensor tokens = model.toTokens(prompt);
            int right = model.toSingleToken(given ? args[3] : " Mary");
            int wrong = model.toSingleToken(given ? args[4] : " John");
            Tensor rightToken = Tensor.ofTokens(right).select(0, 0);
            Tensor wrongToken = Tensor.ofTokens(wrong).select(0, 0);

            var cache = model.runWithCache(tokens, name -> true).cache();
            var parts = cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.ALL, true);
            double[] written = parts.at(-1).logitAttrs(rightToken, wrongToken).toDoubles();
            System.out.println(prompt + " ...: what adds to the logit difference");
            for (int i = 0; i < written.length; i++)
                System.out.printf("  %-12s %6.2f%n", parts.labels().get(i), written[i]);
            Tensor heads = cache.stackHeadResults(-1, false)
                    .at(-1)
                    .logitAttrs(rightToken, wrongToken)
                    .reshape(model.config().nLayers(), model.config().nHeads());
            HeatMap.of(heads).title("Logit difference that each head writes").write(folder.resolve("head_logits.svg"));

            Function<Tensor, Tensor> difference = logits -> {
                Tensor next = logits.select(0, 0).select(0, tokens.size(1) - 1);
                return next.select(0, right).sub(next.select(0, wrong));
            };
            var byAblation = FeatureAttribution.byAblation(
                    model, sae, tokens, logits -> difference.apply(logits).item());
            Map<String, Double> exact = byAblation.stream()
                    .collect(Collectors.toMap(each -> each.position() + ":" + each.feature(), each -> each.effect()));
            System.out.printf(
                    "%n%-10s %-8s %10s %10s %10s%n", "token", "feature", "activation", "gradient", "ablation");
            for (var each : FeatureAttribution.topByGradient(model, sae, tokens, difference, FEATURES))
                System.out.printf(
                        "%-10s %-8d %10.2f %10.2f %10.2f%n",
                        model.toStrTokens(tokens).get(each.position()),
                        each.feature(),
                        each.activation(),
                        each.effect(),
                        exact.get(each.position() + ":" + each.feature()));
            System.out.println("wrote head_logits.svg to " + folder);
        }
    }
}
