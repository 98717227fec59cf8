import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Patching;
import io.github.panascope.plot.HeatMap;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Activation patching of indirect object identification (IOI): which head, and which position of the residual
 * stream, has to be taken from a run on the clean prompt so that the model names Mary again. Writes two heat maps.
 *
 * <p>The arguments are MODEL FOLDER; without them, the model of the demo bundle is used, and the pictures go to
 * panascope-out.
 *
 * <pre>{@code
 * java --enable-native-access=ALL-UNNAMED -cp "target/panascope-0.1.0.jar:target/lib/*" \
 *     src/demo/examples/IoiPatching.java gpt2-small pictures
 * }</pre>
 */
public class IoiPatching {
    private static final int BEST = 5;

    public static void main(String[] args) {
        Path folder = Path.of(args.length > 1 ? args[1] : "panascope-out");
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained(
                        args.length > 0 ? args[0] : DemoBundle.find().model())) {
            String prompt = "When John and Mary went to the shops, %s gave the bag to";
            Tensor clean = model.toTokens(prompt.formatted("John"));
            Tensor corrupted = model.toTokens(prompt.formatted("Mary"));
            int mary = model.toSingleToken(" Mary");
            int john = model.toSingleToken(" John");
            ToDoubleFunction<Tensor> difference = logits -> {
                Tensor next = logits.select(0, 0).select(0, clean.size(1) - 1);
                return next.select(0, mary).item() - next.select(0, john).item();
            };
            double whenClean = difference.applyAsDouble(model.run(clean));
            double whenCorrupted = difference.applyAsDouble(model.run(corrupted));
            System.out.printf(
                    "logit of Mary minus logit of John: clean %.2f, corrupted %.2f%n", whenClean, whenCorrupted);

            var cache = model.runWithCache(clean, name -> name.matches(".*(attn.hook_z|hook_resid_pre)"))
                    .cache();
            var patching = Patching.of(model, corrupted, cache, difference);
            double scale = 1 / (whenClean - whenCorrupted); // 0 is as corrupted, 1 as clean
            Tensor heads = patching.byHead("attn.hook_z").add(-whenCorrupted).mul(scale);
            Tensor stream =
                    patching.byPosition("hook_resid_pre").add(-whenCorrupted).mul(scale);

            List<String> labels = model.weights().allHeadLabels();
            var best = heads.reshape(-1).topk(BEST);
            System.out.println("share of the difference that one head restores");
            for (int i = 0; i < BEST; i++)
                System.out.printf(
                        "  %-6s %5.2f%n",
                        labels.get((int) best.indices().select(0, i).item()),
                        best.values().select(0, i).item());
            List<String> layers = numbers(model.config().nLayers());
            HeatMap.of(heads)
                    .title("Restored by one head (attn.hook_z)")
                    .rows("layer", layers)
                    .columns("head", numbers(model.config().nHeads()))
                    .write(folder.resolve("ioi_heads.svg"));
            HeatMap.of(stream)
                    .title("Restored by the residual stream at one position")
                    .rows("layer", layers)
                    .columns("token", model.toStrTokens(corrupted))
                    .write(folder.resolve("ioi_positions.svg"));
            System.out.println("wrote ioi_heads.svg and ioi_positions.svg to " + folder);
        }
    }

    private static List<String> numbers(int count) {
        return IntStream.range(0, count).mapToObj(Integer::toString).toList();
    }
}
