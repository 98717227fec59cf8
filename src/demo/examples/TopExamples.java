import io.github.panascope.dashboard.FeatureExamples;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import java.util.List;

/**
 * The top examples of a feature: the texts of a dataset where it is most active, each with the tokens around its
 * strongest one.
 *
 * <p>The arguments are MODEL SAE DATASET FEATURE; without them, a feature of the demo bundle is used that is active
 * at names of places.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/TopExamples.java gpt2-small \
 *     gpt2-small-res-jb/blocks.8.hook_resid_pre NeelNanda/pile-10k 14057
 * }</pre>
 */
public class TopExamples {
    private static final int TEXTS = 256;
    private static final int EXAMPLES = 10;
    private static final int AROUND = 5;

    public static void main(String[] args) {
        boolean given = args.length > 3;
        int feature = given ? Integer.parseInt(args[3]) : 8;
        try (var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model());
                var sae = Sae.fromPretrained(given ? args[1] : DemoBundle.find().sae())) {
            List<String> texts = TextDataset.of(
                            given ? args[2] : DemoBundle.find().dataset(), Hub.fromEnvironment())
                    .documents();
            var examples = FeatureExamples.search(model, sae)
                    .buffer(AROUND)
                    .top(texts.stream().limit(TEXTS)::forEachOrdered, new int[] {feature}, EXAMPLES);
            System.out.println(examples.get(feature));
        }
    }
}
