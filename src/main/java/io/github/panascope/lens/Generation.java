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
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A generation of text from prompts, which is described first and then run. By default it adds ten tokens, the most
 * probable one each time, keeps keys and values in a cache, and ends when every row has reached the eos token,
 * or another that {@link #stopAt} names. An instance is used by one thread and runs once.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Tensor ids = model.generate("The Eiffel Tower is in")
 *             .maxNewTokens(20)
 *             .sampling(Sampling.PLAIN.temperature(0.8).topK(50))
 *             .seed(1)
 *             .onToken(tokens -> System.out.print(model.toSingleStrToken(tokens[0])))
 *             .run();
 *     System.out.println();
 *     System.out.println(ids.size(1) + " tokens: " + model.toString(ids));
 * }
 * }</pre>
 */
public final class Generation {
    private final HookedTransformer model;
    /** The prompts at one length; shorter ones are padded on the left. */
    private final int[][] rows;
    /** The number of padding ids of each row; null if no row is padded. */
    private final int[] padding;

    private int maxNewTokens = 10;
    private Sampling sampling = Sampling.GREEDY;
    private boolean stopAtEos = true;
    private Set<Integer> stops = Set.of();
    private boolean usePastKvCache = true;
    private Hooks hooks;
    private long seed;
    private Consumer<int[]> listener = tokens -> {};
    /** The ids of the current step, int64 [batch, pos], which attachments read. */
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
                .map(prompt -> padded(prompt, length, model.filler()))
                .toArray(int[][]::new);
        this.hooks = model.hooks();
    }

    private static int[] padded(int[] prompt, int length, int filler) {
        int[] row = new int[length];
        Arrays.fill(row, filler);
        System.arraycopy(prompt, 0, row, length - prompt.length, prompt.length);
        return row;
    }

    /**
     * Sets the largest number of tokens to add.
     *
     * @param count the number of tokens, at least 0
     * @return this generation
     * @throws IllegalArgumentException if the number is negative
     */
    public Generation maxNewTokens(int count) {
        if (count < 0) throw new IllegalArgumentException("maxNewTokens should be at least 0, not " + count);
        this.maxNewTokens = count;
        return this;
    }

    /**
     * Sets how each token is chosen.
     *
     * @param how the sampling method
     * @return this generation
     */
    public Generation sampling(Sampling how) {
        this.sampling = Objects.requireNonNull(how, "sampling should not be null: Sampling.GREEDY takes the likeliest");
        return this;
    }

    /**
     * Sets the seed of the random numbers. Equal seeds give equal texts. Each row of a batch draws from its own
     * sequence, the first row from the one that it would draw from alone.
     *
     * @param start the seed
     * @return this generation
     */
    public Generation seed(long start) {
        this.seed = start;
        return this;
    }

    /**
     * Sets whether rows end at the tokenizer's eos token.
     *
     * @param stop true to end a row at that token, and to repeat the token while other rows continue; false to continue
     *     every row up to the largest number of tokens
     * @return this generation
     */
    public Generation stopAtEos(boolean stop) {
        this.stopAtEos = stop;
        return this;
    }

    /**
     * Sets further tokens that end a row, such as the one that ends a turn of a conversation. It is not the eos token
     * of Gemma's tokenizer, for one: {@code stopAt(model.toSingleToken("<end_of_turn>"))}.
     *
     * @param ids the ids of the tokens, which replace those of an earlier call
     * @return this generation
     */
    public Generation stopAt(int... ids) {
        this.stops = Arrays.stream(ids).boxed().collect(Collectors.toUnmodifiableSet());
        return this;
    }

    /**
     * Sets whether keys and values are kept from token to token.
     *
     * @param use true to keep them; false to compute everything again for each token, which gives the same text, slowly
     * @return this generation
     */
    public Generation usePastKvCache(boolean use) {
        this.usePastKvCache = use;
        return this;
    }

    /**
     * Adds hooks that are called at every step: at first with all positions of the prompt, then, if keys and values are
     * kept, with the new position only. Attachments of the model, such as SAEs, receive the same positions, after the
     * hooks.
     *
     * @param others the hooks, after those of the model's view and those added before
     * @return this generation
     */
    public Generation hooks(Hooks others) {
        this.hooks = hooks.and(Objects.requireNonNull(others, "hooks should not be null: Hooks.NONE has none"));
        return this;
    }

    /**
     * Sets a listener that is called after each step with the new token id of each row. An exception of the listener
     * ends the generation.
     *
     * @param hears the listener; its argument is an array of one id for each row
     * @return this generation
     */
    public Generation onToken(Consumer<int[]> hears) {
        this.listener = Objects.requireNonNull(hears, "onToken needs something to call with the tokens");
        return this;
    }

    /**
     * Runs the generation.
     *
     * @return the ids of prompt and text, int64 [batch, pos + new] on the CPU, in the innermost scope; shorter prompts
     *     have pad tokens before them, which the model does not attend to
     * @throws IllegalArgumentException if prompt and largest number of new tokens are longer than n_ctx
     * @throws RunInterruptedException if the thread is interrupted
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

    /**
     * Runs a generation from one prompt.
     *
     * @return the text of the prompt and of the new tokens, without special tokens
     * @throws IllegalArgumentException if prompt and largest number of new tokens are longer than n_ctx
     * @throws RunInterruptedException if the thread is interrupted
     */
    public String text() {
        try (var _ = TensorScope.open()) {
            int[] ids =
                    Arrays.stream(run().toLongs()).mapToInt(Math::toIntExact).toArray();
            return model.tokenizer().decode(true, ids);
        }
    }

    /** Fills the rows from a position on. Returns the number of tokens that were added. */
    private int generate(int[][] texts, int length) {
        List<String> points = Stream.concat(
                        model.hookNames().stream(),
                        model.attachments().stream().flatMap(each -> each.points().stream()))
                .toList();
        HookTable resolved = hooks.resolve(points, model.hookNamesOnRequest());
        for (Attachment attachment : model.attachments()) attachment.addTo(resolved, () -> running);
        if (model.isExact()) resolved.listen(Forward.EXACT);
        SplittableRandom[] random =
                new SplittableRandom[texts.length]; // one for each row, so that rows do not affect each other
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
                            ? texts[row][length + added - 1]
                            : sampling.draw(
                                    own,
                                    Arrays.copyOfRange(texts[row], padding == null ? 0 : padding[row], length + added),
                                    at);
                    texts[row][length + added] = tokens[row];
                    finished[row] |=
                            stopAtEos && tokens[row] == model.tokenizer().eos() || stops.contains(tokens[row]);
                }
                listener.accept(tokens);
                if (allTrue(finished)) return added + 1;
            }
        }
        return maxNewTokens;
    }

    private static boolean allTrue(boolean[] values) {
        for (boolean value : values) if (!value) return false;
        return true;
    }

    /** Returns the attention mask, int64 [batch, end], which is 0 at padding; null if no row is padded. */
    private Tensor mask(int end) {
        if (padding == null) return null;
        long[] mask = new long[rows.length * end];
        for (int row = 0; row < rows.length; row++) Arrays.fill(mask, row * end + padding[row], (row + 1) * end, 1);
        return Tensor.of(mask, Shape.of(rows.length, end)).to(model.device());
    }

    /**
     * Returns the logits of the token after the last one, [batch × d_vocab]. Only the positions from {@code first} to
     * {@code end} run.
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

    /** {@return the name of the model, the number of prompts, and the largest number of new tokens} */
    @Override
    public String toString() {
        return "Generation(" + model.shortName() + ", " + rows.length + (rows.length == 1 ? " prompt" : " prompts")
                + ", at most " + maxNewTokens + (maxNewTokens == 1 ? " new token)" : " new tokens)");
    }
}
