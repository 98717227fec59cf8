import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.BlockInput;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.ResidualStack;
import io.github.panascope.plot.HeatMap;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;

/**
 * The logit lens: what the model would predict if it ended before each block. Prints the best token at the last
 * position, and the probability of the answer there; writes a heat map of the probability of the token that follows
 * each position.
 *
 * <p>The arguments are MODEL PROMPT ANSWER FOLDER; without them, the model of the demo bundle is used, and the
 * picture goes to panascope-out.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/LogitLens.java gpt2-small "The Eiffel Tower is in the city of" \
 *     " Paris" pictures
 * }</pre>
 */
public class LogitLens {
    public static void main(String[] args) {
        boolean given = args.length > 2;
        String prompt = given ? args[1] : "When John and Mary went to the shops, John gave the bag to";
        String answer = given ? args[2] : " Mary";
        Path folder = Path.of(args.length > 3 ? args[3] : "panascope-out");
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        given ? args[0] : DemoBundle.find().model())) {
            Tensor tokens = model.toTokens(prompt + answer);
            int last = (int) tokens.size(1) - 2; // the position that predicts the answer
            int answerId = model.toSingleToken(answer);

            var cache = model.runWithCache(tokens, name -> name.contains("hook_resid"))
                    .cache();
            ResidualStack states = cache.accumulatedResid(-1, false, BlockInput.ATTENTION);
            Tensor logits = states.recomputeFinalLn()
                    .values()
                    .select(1, 0)
                    .matmul(model.weight("unembed.W_U"))
                    .add(model.weight("unembed.b_U"));
            Tensor probabilities = logits.softmax(-1); // [state, pos, d_vocab]

            System.out.println(prompt + " ...");
            System.out.printf("%-12s %8s   %s%n", "state", "'" + answer + "'", "best token");
            for (int state = 0; state < states.labels().size(); state++) {
                Tensor next = probabilities.select(0, state).select(0, last);
                int best = (int) next.argmax(0).item();
                System.out.printf(
                        "%-12s %7.2f%%   %6.2f%% '%s'%n",
                        states.labels().get(state),
                        100 * next.select(0, answerId).item(),
                        100 * next.select(0, best).item(),
                        model.toSingleStrToken(best));
            }

            // The probability of the token after each position: position p predicts token p + 1.
            Tensor[] right = new Tensor[last + 1];
            int[] ids = tokens.toInts();
            for (int p = 0; p <= last; p++)
                right[p] = probabilities.select(1, p).select(1, ids[p + 1]);
            HeatMap.of(Tensor.stack(1, right))
                    .title("Probability of the next token")
                    .rows("state", states.labels())
                    .columns("token that follows", model.toStrTokens(tokens).subList(1, last + 2))
                    .write(folder.resolve("logit_lens.svg"));
            System.out.println("wrote logit_lens.svg to " + folder);
        }
    }
}
