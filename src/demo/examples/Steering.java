import io.github.panascope.demo.DemoBundle;
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
    private static final int NEW_TOKENS = 12;

    public static void main(String[] args) {
        boolean given = args.length > 3;
        int feature = given ? Integer.parseInt(args[2]) : 81;
        String prompt = given ? args[3] : "Once upon a time, there was a";
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model());
                var sae = Sae.fromPretrained(given ? args[1] : DemoBundle.find().sae())) {
            int[] promoted =
                    sae.logitLens(model, feature).select(0, 0).topk(8).indices().toInts();
            System.out.println(
                    "feature " + feature + " promotes " + model.tokenizer().tokens(promoted));
            System.out.println(prompt + " ...");
            for (double strength : STRENGTHS)
                System.out.printf("%4.1f %s%n", strength, continued(model, prompt, sae.steering(feature, strength)));

            // By hand, at any hook point: here the input of the last block.
            Tensor direction = sae.weight("W_dec").select(0, feature);
            String point = "blocks." + (model.config().nLayers() - 1) + ".hook_resid_pre";
            double most = STRENGTHS[STRENGTHS.length - 1];
            Hooks late = Hooks.at(point, (activation, _) -> activation.add(direction.mul(most)));
            System.out.println("with " + most + " at " + point);
            System.out.println("    " + continued(model, prompt, late));
        }
    }

    private static String continued(HookedTransformer model, String prompt, Hooks hooks) {
        String text =
                model.generate(prompt).maxNewTokens(NEW_TOKENS).hooks(hooks).text();
        return text.substring(prompt.length()).replace("\n", "\\n");
    }
}
