package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.RunHooks;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Text that a model goes on with, described and then run:
 * {@code model.generate(tokens).maxNewTokens(20).sampling(Sampling.PLAIN).seed(1).run()}. Without more words: ten
 * tokens, the most probable one each time, with a cache of keys and values, ending where every row has reached
 * {@code <|endoftext|>}. Used by one thread, once.
 */
public final class Generation {
    private final HookedTransformer model;
    /** Prompts of one length, shorter ones filled up on the left. */
    private final int[][] rows;
    /** How many ids of each row were filled in; null if none. */
    private final int[] padding;

    private int maxNewTokens = 10;
    private Sampling sampling = Sampling.GREEDY;
    private boolean stopAtEos = true;
    private boolean usePastKvCache = true;
    private Hooks hooks;
    private long seed;
    private Consumer<int[]> listener = tokens -> {};
    /** The ids of the step that runs, int64 [batch, pos], for attachments. */
    private Tensor running;

    Generation(HookedTransformer model, int[][] prompts) {
        this.model = model;
        int length =
                Arrays.stream(prompts).mapToInt(prompt -> prompt.length).max().orElseThrow();
        this.padding = Arrays.stream(prompts).allMatch(prompt -> prompt.length == length)
                ? null
                : Arrays.stream(prompts)
                        .mapToInt(prompt -> length - prompt.length)
                        .toArray();
        this.rows = Arrays.stream(prompts)
                .map(prompt -> padded(prompt, length, model.tokenizer().endOfText()))
                .toArray(int[][]::new);
        this.hooks = model.hooks();
    }

    private static int[] padded(int[] prompt, int length, int filler) {
        int[] row = new int[length];
        Arrays.fill(row, filler);
        System.arraycopy(prompt, 0, row, length - prompt.length, prompt.length);
        return row;
    }

    /** How many tokens to add at most. */
    public Generation maxNewTokens(int count) {
        if (count < 0) throw new IllegalArgumentException("maxNewTokens should be at least 0, not " + count);
        this.maxNewTokens = count;
        return this;
    }

    /** How each is chosen. */
    public Generation sampling(Sampling how) {
        this.sampling = Objects.requireNonNull(how, "sampling should not be null: Sampling.GREEDY takes the likeliest");
        return this;
    }

    /**
     * The start of the random numbers; the same seed gives the same text. Each row of a batch draws numbers of its own,
     * the first those that it would draw alone.
     */
    public Generation seed(long start) {
        this.seed = start;
        return this;
    }

    /** Whether a row ends at {@code <|endoftext|>}; what follows in it, while other rows go on, is that token again. */
    public Generation stopAtEos(boolean stop) {
        this.stopAtEos = stop;
        return this;
    }

    /**
     * Whether keys and values are kept from token to token. Without it, everything is computed anew for each token: the
     * same text, slowly.
     */
    public Generation usePastKvCache(boolean use) {
        this.usePastKvCache = use;
        return this;
    }

    /**
     * Calls these hooks at every step: first with all positions of the prompt, then, with the cache, with the new one
     * alone. What is attached to the model, such as SAEs, sees the same, after them.
     */
    public Generation hooks(Hooks others) {
        this.hooks = hooks.and(Objects.requireNonNull(others, "hooks should not be null: Hooks.NONE has none"));
        return this;
    }

    /** Hears of the new token of each row, step by step. What it throws ends the generation. */
    public Generation onToken(Consumer<int[]> hears) {
        this.listener = Objects.requireNonNull(hears, "onToken needs something to call with the tokens");
        return this;
    }

    /**
     * Runs it.
     *
     * @return the ids of prompt and text, int64 [batch, pos + new] on the CPU; shorter prompts have
     *     {@code <|endoftext|>} before them, which the model does not see
     * @throws IllegalArgumentException if prompt and text may be longer than n_ctx
     * @throws RunInterruptedException if the thread was interrupted
     */
    public Tensor run() {
        int length = rows[0].length;
        if ((long) length + maxNewTokens > model.config().nCtx()) {
            throw new IllegalArgumentException("a prompt of " + length + " tokens and " + maxNewTokens
                    + " more do not fit the model's n_ctx of " + model.config().nCtx());
        }
        int[][] texts = Arrays.stream(rows)
                .map(row -> Arrays.copyOf(row, length + maxNewTokens))
                .toArray(int[][]::new);
        int end = length + generate(texts, length);
        long[] ids = Arrays.stream(texts)
                .flatMapToInt(text -> Arrays.stream(text, 0, end))
                .asLongStream()
                .toArray();
        return Tensor.of(ids, Shape.of(texts.length, end));
    }

    /** The text alone, of a generation from one prompt, without {@code <|endoftext|>}. */
    public String text() {
        try (var _ = TensorScope.open()) {
            int[] ids = Arrays.stream(run().toLongs())
                    .mapToInt(Math::toIntExact)
                    .filter(id -> id != model.tokenizer().endOfText())
                    .toArray();
            return model.tokenizer().decode(ids);
        }
    }

    /** Fills the rows from a position on; how many tokens were added. */
    private int generate(int[][] texts, int length) {
        List<String> points = Stream.concat(
                        model.hookNames().stream(),
                        model.attachments().stream().flatMap(each -> each.points().stream()))
                .toList();
        HookTable resolved = hooks.resolve(points, model.hookNamesOnRequest());
        for (Attachment attachment : model.attachments()) attachment.addTo(resolved, () -> running);
        if (model.isExact()) resolved.listen(Forward.EXACT);
        SplittableRandom[] random =
                new SplittableRandom[texts.length]; // one for each row, so that none depends on the others
        for (int row = 0; row < random.length; row++)
            random[row] = new SplittableRandom(seed + row * 0x9E3779B97F4A7C15L);
        boolean[] finished = new boolean[texts.length];
        try (TensorScope cacheScope = TensorScope.open();
                RunHooks set = resolved.isEmpty() ? null : resolved.open()) {
            Tensor[][] cache = new Tensor[model.config().nLayers()][];
            for (int added = 0; added < maxNewTokens; added++) {
                RunInterruptedException.check("generating text");
                float[] logits = nextLogits(
                        texts,
                        usePastKvCache && added > 0 ? length + added - 1 : 0,
                        length + added,
                        cache,
                        cacheScope,
                        set);
                int vocabulary = logits.length / texts.length;
                int[] tokens = new int[texts.length];
                for (int row = 0; row < texts.length; row++) {
                    float[] own = Arrays.copyOfRange(logits, row * vocabulary, (row + 1) * vocabulary);
                    double at = random[row].nextDouble();
                    tokens[row] = finished[row]
                            ? model.tokenizer().endOfText()
                            : sampling.draw(
                                    own,
                                    Arrays.copyOfRange(texts[row], padding == null ? 0 : padding[row], length + added),
                                    at);
                    texts[row][length + added] = tokens[row];
                    finished[row] |=
                            stopAtEos && tokens[row] == model.tokenizer().endOfText();
                }
                listener.accept(tokens);
                if (stopAtEos && allTrue(finished)) return added + 1;
            }
        }
        return maxNewTokens;
    }

    private static boolean allTrue(boolean[] values) {
        for (boolean value : values) if (!value) return false;
        return true;
    }

    /** int64 [batch, end]: 0 at what was filled in; null if nothing was. */
    private Tensor mask(int end) {
        if (padding == null) return null;
        long[] mask = new long[rows.length * end];
        for (int row = 0; row < rows.length; row++) Arrays.fill(mask, row * end + padding[row], (row + 1) * end, 1);
        return Tensor.of(mask, Shape.of(rows.length, end)).to(model.device());
    }

    /**
     * Logits of the token after the last one, [batch × d_vocab], running the positions from {@code first} to
     * {@code end} alone.
     */
    private float[] nextLogits(
            int[][] texts, int first, int end, Tensor[][] cache, TensorScope cacheScope, RunHooks set) {
        long[] ids = Arrays.stream(texts)
                .flatMapToInt(text -> Arrays.stream(text, first, end))
                .asLongStream()
                .toArray();
        try (var _ = TensorScope.open()) {
            Tensor mask = mask(end);
            running = Tensor.of(ids, Shape.of(texts.length, end - first), model.device());
            Tensor resid = model.embed().call("at", set, running, (long) first, mask);
            for (int layer = 0; layer < cache.length; layer++) {
                Tensor[] past = cache[layer];
                Tensor[] result = past == null || first == 0
                        ? model.block(layer).callForAll("begin", set, resid, mask)
                        : model.block(layer).callForAll("extend", set, resid, past[0], past[1], mask);
                resid = result[0];
                if (!usePastKvCache) continue;
                cache[layer] = new Tensor[] {cacheScope.adopt(result[1]), cacheScope.adopt(result[2])};
                if (past != null) for (Tensor old : past) old.free();
            }
            Tensor last = resid.slice(1, resid.size(1) - 1, resid.size(1));
            return model.unembed().call("forward", set, last).to(DType.FLOAT32).toFloats();
        }
    }

    /** The model, and how much it is to write. */
    @Override
    public String toString() {
        return "Generation(" + model.name() + ", " + rows.length + " prompts, at most " + maxNewTokens + " new tokens)";
    }
}
