package io.github.panascope.bench;

import io.github.panascope.cli.BenchCase;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What the tutorial's work is made of, on random weights of GPT-2 small's shape. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class ModelBenchmark {
    private static final int ROWS = 8;
    private static final int CONTEXT = 128;
    private static final int WIDTH = 768;
    private static final int LAYERS = 12;
    private static final int CHUNK = 256;

    private Path folder;
    private TensorScope scope;
    private HookedTransformer model;
    private Sae sae;
    private Tensor tokens, resid, rows, features;
    private String text;

    /** Writes the case and loads it. */
    @Setup
    public void open() throws IOException {
        folder = Files.createTempDirectory("panascope-bench");
        BenchCase.writeModel(folder, LAYERS, WIDTH);
        BenchCase.writeSae(folder, WIDTH, -5); // a threshold at which few are active
        scope = TensorScope.open();
        model = HookedTransformer.fromPretrained(folder.toString(), HookedTransformer.Options.DEFAULT);
        sae = Sae.fromPretrained(folder.toString());
        tokens = Tensor.of(
                new Random(1)
                        .longs((long) ROWS * CONTEXT, 0, BenchCase.VOCABULARY)
                        .toArray(),
                Shape.of(ROWS, CONTEXT));
        resid = model.forward(tokens).stopAtLayer(BenchCase.LAYER);
        rows = resid.reshape(-1, WIDTH).slice(0, 0, CHUNK).copy();
        features = sae.encode(rows);
        text = new Random(2)
                .ints(50_000, 256, 50_000)
                .mapToObj(id -> Tokenizer.gpt2().decode(id))
                .collect(Collectors.joining());
    }

    /** Removes it. */
    @TearDown
    public void close() {
        scope.close();
        sae.close();
        model.close();
        BenchCase.delete(folder);
    }

    /** Some 300 kB of text. */
    @Benchmark
    public Object tokenize() {
        return Tokenizer.gpt2().encode(text);
    }

    /** Mapped, as the file has them. */
    @Benchmark
    public void loadModel() {
        HookedTransformer.fromPretrained(
                        folder.toString(), HookedTransformer.Options.DEFAULT.processing(WeightProcessing.NONE))
                .close();
    }

    /** Mapped. */
    @Benchmark
    public void loadSae() {
        Sae.fromPretrained(folder.toString()).close();
    }

    /** 8 x 128 positions through one block. */
    @Benchmark
    public Object block() {
        try (var _ = TensorScope.open()) {
            return model.forward(tokens).startAtLayer(BenchCase.LAYER, resid).stopAtLayer(BenchCase.LAYER + 1);
        }
    }

    /** 8 x 128 positions through one block, step by step. */
    @Benchmark
    public Object blockExact() {
        try (var _ = TensorScope.open()) {
            return model.exact()
                    .forward(tokens)
                    .startAtLayer(BenchCase.LAYER, resid)
                    .stopAtLayer(BenchCase.LAYER + 1);
        }
    }

    /** The last block of 8 x 128 positions, and their losses. */
    @Benchmark
    public Object chunkedLoss() {
        try (var _ = TensorScope.open()) {
            return model.forward(tokens).startAtLayer(LAYERS - 1, resid).lossPerToken();
        }
    }

    /** 256 positions. */
    @Benchmark
    public Object encode() {
        try (var _ = TensorScope.open()) {
            return sae.encode(rows);
        }
    }

    /** 256 positions. */
    @Benchmark
    public Object decode() {
        try (var _ = TensorScope.open()) {
            return sae.decode(features);
        }
    }
}
