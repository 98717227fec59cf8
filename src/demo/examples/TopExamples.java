import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The top examples of a feature: the places of a dataset where it is most active, each with the text around it.
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
    private static final int ROWS = 256;
    private static final int TOGETHER = 16;
    private static final int EXAMPLES = 10;
    private static final int AROUND = 6;

    /** A place in the dataset, and the activation of the feature there. */
    private record Example(float activation, int row, int position) {}

    public static void main(String[] args) {
        boolean given = args.length > 3;
        int feature = given ? Integer.parseInt(args[3]) : 8;
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model());
                var sae = Sae.fromPretrained(given ? args[1] : DemoBundle.find().sae())) {
            var texts = TextDataset.of(given ? args[2] : DemoBundle.find().dataset(), Hub.fromEnvironment());
            var tokens = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach,
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    sae.config().contextSize());
            List<Example> examples = new ArrayList<>();
            for (int row = 0; row < ROWS; row += TOGETHER)
                examples.addAll(active(model, sae, tokens, feature, row, row + TOGETHER));
            examples.sort(Comparator.comparingDouble(Example::activation).reversed());

            System.out.printf(
                    "feature %d is active at %d of %d positions%n",
                    feature, examples.size(), ROWS * tokens.rowLength());
            for (Example each : examples.subList(0, Math.min(EXAMPLES, examples.size()))) {
                int[] row = tokens.row(each.row());
                int end = Math.min(row.length, each.position() + AROUND + 1);
                List<String> words = model.tokenizer().tokens(row);
                System.out.printf(
                        "%6.2f  row %3d  %s[[%s]]%s%n",
                        each.activation(),
                        each.row(),
                        line(words.subList(Math.max(0, each.position() - AROUND), each.position())),
                        words.get(each.position()),
                        line(words.subList(each.position() + 1, end)));
            }
        }
    }

    /** Returns the places of some rows where the feature is active. */
    private static List<Example> active(
            HookedTransformer model, Sae sae, TokenDataset tokens, int feature, int first, int end) {
        try (var _ = TensorScope.open()) {
            Tensor acts = sae.encode(model.forward(tokens.batch(first, end))
                    .activation(sae.config().hookName()));
            float[] values = acts.select(2, feature).toFloats(); // [row, pos]
            List<Example> found = new ArrayList<>();
            for (int i = 0; i < values.length; i++)
                if (values[i] > 0)
                    found.add(new Example(values[i], first + i / tokens.rowLength(), i % tokens.rowLength()));
            return found;
        }
    }

    private static String line(List<String> words) {
        return String.join("", words).replace("\n", "\\n");
    }
}
