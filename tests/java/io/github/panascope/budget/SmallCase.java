package io.github.panascope.budget;

import io.github.panascope.TestDevice;
import io.github.panascope.cli.BenchCase;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.L0;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * What is counted, in GPT-2 small's shape but for its width: 12 layers, 50,257 tokens, rows of 128, an SAE of 24,576
 * features at layer 8, of which some sixty are active at a position. How often anything is called does not depend on
 * the width, and this one is quick.
 */
final class SmallCase implements AutoCloseable {
    static final int CONTEXT = 128;
    private static final int CHOSEN = 11;
    private static final int LAYERS = 12;
    private static final int WIDTH = 64;
    private static final int L0 = 60;

    final HookedTransformer model;
    final Sae sae;
    /** Eleven that are often active. */
    final int[] features;

    private final Sae loaded;

    SmallCase(Path folder) {
        BenchCase.writeModel(folder, LAYERS, WIDTH);
        model = HookedTransformer.fromPretrained(folder.toString(), TestDevice.OPTIONS);
        BenchCase.writeSae(folder, WIDTH, 0);
        double threshold;
        try (var _ = TensorScope.open();
                Sae first = TestDevice.sae(folder)) {
            Tensor activation =
                    model.forward(tokens(2)).stopAtLayer(BenchCase.LAYER).slice(1, 1, CONTEXT);
            Tensor products =
                    activation.reshape(-1, WIDTH).sub(first.weight("b_dec")).matmul(first.weight("W_enc"));
            long wanted = products.size(0) * L0;
            threshold = products.reshape(-1)
                    .topk(wanted)
                    .values()
                    .slice(0, wanted - 1, wanted)
                    .item();
        }
        BenchCase.writeSae(folder, WIDTH, -threshold);
        loaded = TestDevice.sae(folder);
        sae = loaded.foldWDecNorm();
        try (var _ = TensorScope.open()) {
            Tensor activation =
                    model.forward(tokens(4)).stopAtLayer(BenchCase.LAYER).slice(1, 1, CONTEXT);
            Tensor often = sae.encode(activation.reshape(-1, WIDTH)).gt(0).sum(0, false);
            features = Arrays.stream(often.topk(CHOSEN).indices().toInts())
                    .sorted()
                    .toArray();
        }
    }

    private static int[] row(long number) {
        Random random = new Random(number);
        return IntStream.range(0, CONTEXT)
                .map(i -> i == 0 ? BenchCase.VOCABULARY - 1 : random.nextInt(BenchCase.VOCABULARY - 1))
                .toArray();
    }

    static Tensor tokens(int rows) {
        return Tensor.of(
                IntStream.range(0, rows)
                        .flatMap(i -> IntStream.of(row(i)))
                        .asLongStream()
                        .toArray(),
                Shape.of(rows, CONTEXT));
    }

    /** The tutorial's cell: L0 and three losses. */
    TutorialMetrics cell(int rows, int rowsAtOnce) {
        try (var _ = TensorScope.open()) {
            return TutorialMetrics.run(model, loaded, tokens(rows), rowsAtOnce, done -> {});
        }
    }

    /** Dashboards of eleven features, from the text on; how many sequences they show. */
    int dashboards(Path folder, int rows, DashboardConfig config) {
        int[] sequences = new int[1];
        try (var _ = TensorScope.open();
                FeatureStore store = FeatureStore.open(
                        folder,
                        StoreIdentity.of(model, sae, "random", CONTEXT),
                        features,
                        sae.config().dIn())) {
            FeatureCollector.into(store, model, sae).shardRows(rows).threads(2).collect(SmallCase::row, 0, rows);
            Dashboards.of(model, sae, store, config)
                    .forEach(
                            features,
                            2,
                            dashboard -> sequences[0] += dashboard.groups().stream()
                                    .mapToInt(group -> group.sequences().size())
                                    .sum());
        }
        return sequences[0];
    }

    /** What `panascope prompt` does, after loading. */
    List<String> prompt() {
        String prompt = "When John and Mary went to the shops, John gave the bag to";
        String plain =
                TestPrompt.run(model, prompt, List.of("Mary"), Hooks.NONE, 10).format();
        return List.of(
                plain,
                TestPrompt.run(model.with(loaded.attachment(false)), prompt, List.of("Mary"), Hooks.NONE, 10)
                        .format());
    }

    @Override
    public void close() {
        sae.close();
        loaded.close();
        model.close();
    }
}
