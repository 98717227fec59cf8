import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * Steering: adds the decoder direction of a feature to the residual stream while the model generates text, with
 * increasing strength; then adds it at another hook point.
 *
 * <p>The arguments are MODEL SAE FEATURE PROMPT; without them, a feature of the demo bundle is used that is about
 * countries.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/Steering.java gpt2-small gpt2-small-res-jb/blocks.8.hook_resid_pre \
 *     14057 "I think"
 * }</pre>
 */
public class Steering {
    private static final double[] STRENGTHS = {0, 3, 5, 8};

    public static void main(String[] args) {
        boolean given = args.length > 3;
        int feature = given ? Integer.parseInt(args[2]) : 81;
        String prompt = given ? args[3] : "Once upon a time, there was a";
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(given ? args[0] : "src/demo/bundle/model");
                var sae = Sae.fromPretrained(given ? args[1] : "src/demo/bundle/sae")) {
            int[] promoted =
                    sae.logitLens(model, feature).select(0, 0).topk(8).indices().toInts();
            System.out.println(
                    "feature " + feature + " promotes " + model.tokenizer().tokens(promoted));
            for (double strength : STRENGTHS) {
                String text = model.generate(prompt)
                        .maxNewTokens(24)
                        .hooks(sae.steering(feature, strength))
                        .text();
                System.out.printf("%4.1f  %s%n", strength, text.replace("\n", "\\n"));
            }

            // By hand, at any hook point: here the input of the last block.
            Tensor direction = sae.weight("W_dec").select(0, feature);
            String point = "blocks." + (model.config().nLayers() - 1) + ".hook_resid_pre";
            Hooks late = Hooks.at(point, (activation, _) -> activation.add(direction.mul(STRENGTHS[3])));
            System.out.println("at " + point + ", strength " + STRENGTHS[3]);
            System.out.println("      "
                    + model.generate(prompt).maxNewTokens(24).hooks(late).text());
        }
    }
}
