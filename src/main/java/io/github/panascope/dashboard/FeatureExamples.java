package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.internal.PythonText;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;

/**
 * The texts at which a feature of an SAE is most active, found in one pass over the texts.
 *
 * <pre>{@code
 * List<String> texts = List.of("Mary gave the bag to John", "It rained in Paris");
 * try (var model = HookedTransformer.fromPretrained("gpt2-small");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     FeatureExamples examples = FeatureExamples.top(model, sae, texts, 14057, 2);
 *     System.out.println(examples); // a line for each text, with [[the strongest token]]
 * }
 * }</pre>
 *
 * <p>Each text is tokenized on its own. One that is longer than the rows that the SAE was trained on is cut into rows
 * of that length; a row begins with {@code <|endoftext|>} if the SAE's {@code prepend_bos} says so. A row gives at most
 * one example, at its highest activation. Positions of {@code <|endoftext|>} give none, because features are often
 * strong there whatever they stand for. Activations are those of {@link Sae#encode}: with an SAE of
 * {@code foldWDecNorm} they are on the scale of the dashboards.
 *
 * @param feature  the number of the feature
 * @param examples the examples, highest activation first; of equal ones the earlier row first. There are fewer than
 *     were asked for if the feature is active in fewer rows
 */
public record FeatureExamples(int feature, List<Example> examples) {
    /** Copies the list. */
    public FeatureExamples {
        examples = List.copyOf(examples);
    }

    /**
     * One example: a window of tokens around the strongest one.
     *
     * @param text        the number of the text or of the dataset's row, from 0
     * @param position    the position of the strongest token, from 0: in a text, without the {@code <|endoftext|>} that
     *     the search puts before its rows; in a dataset's row, with the one that the row may begin with
     * @param first       the position of the window's first token, counted likewise
     * @param tokens      the tokens of the window, as texts
     * @param activations the feature's activations at these tokens
     * @param before      the text before the window that belongs to its context, but stands in another row; often empty
     * @param after       the text after the window that belongs to its context, but stands in another row; often empty
     */
    public record Example(
            long text, int position, int first, List<String> tokens, float[] activations, String before, String after) {
        /** Copies the list and the array. */
        public Example {
            tokens = List.copyOf(tokens);
            activations = activations.clone();
        }

        /** {@return the feature's activations at the tokens of the window; a new array} */
        @Override
        public float[] activations() {
            return activations.clone();
        }

        /** {@return whether the other object is an example with equal texts, places and activations} */
        @Override
        public boolean equals(Object other) {
            return other instanceof Example example
                    && text == example.text
                    && position == example.position
                    && first == example.first
                    && tokens.equals(example.tokens)
                    && Arrays.equals(activations, example.activations)
                    && before.equals(example.before)
                    && after.equals(example.after);
        }

        @Override
        public int hashCode() {
            return Objects.hash(text, position, first, tokens, Arrays.hashCode(activations), before, after);
        }

        /** {@return the highest activation} */
        public float activation() {
            return activations[position - first];
        }

        /** {@return the token at the highest activation} */
        public String token() {
            return tokens.get(position - first);
        }

        /** {@return a line with the activation, the place, and the text with {@code [[the strongest token]]}} */
        @Override
        public String toString() {
            int at = position - first;
            String left = before + String.join("", tokens.subList(0, at));
            String right = String.join("", tokens.subList(at + 1, tokens.size())) + after;
            return PythonText.fixed(activation(), 4) + "  text " + text + ", position " + position + ": "
                    + oneLine(left + "[[" + token() + "]]" + right);
        }

        private static String oneLine(String text) {
            return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
        }
    }

    /** {@return a line with the feature's number, and a line for each example} */
    @Override
    public String toString() {
        return examples.stream()
                .map(example -> "\n  " + example)
                .collect(Collectors.joining(
                        "",
                        "feature " + feature + ", " + examples.size()
                                + (examples.size() == 1 ? " example" : " examples"),
                        ""));
    }

    /**
     * Finds the texts at which a feature is most active, with the default {@link Search}.
     *
     * @param model   the model
     * @param sae     the SAE
     * @param texts   the texts, read once
     * @param feature the number of the feature
     * @param k       the largest number of examples, at least 1
     * @return the examples
     * @throws io.github.panascope.InputException          if the SAE does not fit the model, or an activation is NaN
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if {@code k} is less than 1
     */
    public static FeatureExamples top(HookedTransformer model, Sae sae, Iterable<String> texts, int feature, int k) {
        return top(model, sae, texts, new int[] {feature}, k).get(feature);
    }

    /**
     * Finds the texts at which each of several features is most active, in one pass over the texts, with the default
     * {@link Search}.
     *
     * @param model    the model
     * @param sae      the SAE
     * @param texts    the texts, read once
     * @param features the numbers of the features; repetitions are ignored
     * @param k        the largest number of examples of a feature, at least 1
     * @return the examples by feature, in the given order; an unmodifiable map
     * @throws io.github.panascope.InputException          if the SAE does not fit the model, or an activation is NaN
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if {@code k} is less than 1
     */
    public static Map<Integer, FeatureExamples> top(
            HookedTransformer model, Sae sae, Iterable<String> texts, int[] features, int k) {
        Objects.requireNonNull(texts, "a search for examples needs texts");
        return search(model, sae).top(texts::forEach, features, k);
    }

    /**
     * Finds the texts of a dataset at which a feature is most active, with the default {@link Search}.
     *
     * @param model   the model
     * @param sae     the SAE
     * @param texts   the dataset, whose documents are texts; {@link Example#text} counts those whose text is not null
     * @param feature the number of the feature
     * @param k       the largest number of examples, at least 1
     * @return the examples
     * @throws io.github.panascope.InputException if the dataset has no texts or cannot be read, the SAE does not fit
     *     the model, or an activation is NaN
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if {@code k} is less than 1
     */
    public static FeatureExamples top(HookedTransformer model, Sae sae, TextDataset texts, int feature, int k) {
        return top(model, sae, texts, new int[] {feature}, k).get(feature);
    }

    /**
     * Finds the texts of a dataset at which each of several features is most active, in one pass over the dataset, with
     * the default {@link Search}.
     *
     * @param model    the model
     * @param sae      the SAE
     * @param texts    the dataset, whose documents are texts; {@link Example#text} counts those whose text is not null
     * @param features the numbers of the features; repetitions are ignored
     * @param k        the largest number of examples of a feature, at least 1
     * @return the examples by feature, in the given order; an unmodifiable map
     * @throws io.github.panascope.InputException if the dataset has no texts or cannot be read, the SAE does not fit
     *     the model, or an activation is NaN
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if {@code k} is less than 1
     */
    public static Map<Integer, FeatureExamples> top(
            HookedTransformer model, Sae sae, TextDataset texts, int[] features, int k) {
        Objects.requireNonNull(texts, "a search for examples needs texts");
        return search(model, sae).top(texts::forEach, features, k);
    }

    /**
     * Prepares a search with settings.
     *
     * @param model the model
     * @param sae   the SAE
     * @return the search
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     */
    public static Search search(HookedTransformer model, Sae sae) {
        sae.requireFits(model);
        return new Search(model, sae);
    }

    /**
     * Settings of a search for examples. Each setting has a default. A search holds one batch of rows and the examples
     * found so far, however many texts there are.
     */
    public static final class Search {
        final HookedTransformer model;
        final Sae sae;
        int context;
        int buffer = 10;
        int rowsInBatch = 16;
        IntConsumer progress = _ -> {};

        private Search(HookedTransformer model, Sae sae) {
            this.model = model;
            this.sae = sae;
            int longest = model.config().nCtx();
            int trained = sae.config().contextSize();
            context = trained > 1 ? Math.min(trained, longest) : longest;
        }

        /**
         * Sets the number of tokens of the longest rows, {@code <|endoftext|>} included. The default is the context
         * size of the SAE's training, but at most the model's n_ctx; n_ctx where the SAE's {@code context_size} is at
         * most 1.
         *
         * @param tokens the number of tokens, from 2 to the model's n_ctx
         * @return this search
         * @throws IllegalArgumentException if the number is outside that range
         */
        public Search context(int tokens) {
            if (tokens < 2 || tokens > model.config().nCtx())
                throw new IllegalArgumentException(
                        "rows should have from 2 to " + model.config().nCtx() + " tokens, not " + tokens);
            context = tokens;
            return this;
        }

        /**
         * Sets the number of tokens that an example shows on each side of the strongest one. The default is 10.
         *
         * @param tokens the number of tokens, at least 0
         * @return this search
         * @throws IllegalArgumentException if the number is negative
         */
        public Search buffer(int tokens) {
            if (tokens < 0) throw new IllegalArgumentException("an example cannot show " + tokens + " tokens");
            buffer = tokens;
            return this;
        }

        /**
         * Sets the number of rows that run at once. The default is 16.
         *
         * @param rows the number of rows, at least 1
         * @return this search
         * @throws IllegalArgumentException if the number is less than 1
         */
        public Search rowsInBatch(int rows) {
            if (rows < 1) throw new IllegalArgumentException("a batch needs at least one row, not " + rows);
            rowsInBatch = rows;
            return this;
        }

        /**
         * Sets a listener that is notified of progress. The default does nothing.
         *
         * @param listener called after each batch with the number of rows that have run, on the thread of the search
         * @return this search
         * @throws NullPointerException if the listener is null
         */
        public Search progress(IntConsumer listener) {
            progress = Objects.requireNonNull(listener, "progress needs something to call");
            return this;
        }

        /**
         * Searches texts, which are read once.
         *
         * @param texts    the texts, such as {@code dataset::forEach} or {@code stream::forEachOrdered}
         * @param features the numbers of the features; repetitions are ignored
         * @param k        the largest number of examples of a feature, at least 1
         * @return the examples by feature, in the given order; an unmodifiable map
         * @throws io.github.panascope.InputException if the texts cannot be read, or an activation is NaN
         * @throws RunInterruptedException            if the thread is interrupted
         * @throws IndexOutOfBoundsException          if the SAE has no such feature
         * @throws IllegalArgumentException           if {@code k} is less than 1
         */
        public Map<Integer, FeatureExamples> top(TokenDataset.Documents texts, int[] features, int k) {
            ExampleSearch search = new ExampleSearch(this, features, k);
            search.texts(texts);
            return search.finish();
        }

        /**
         * Searches rows of tokens, as they are: nothing is added to them, and {@link #context} does not cut them.
         *
         * @param rows     the rows
         * @param features the numbers of the features; repetitions are ignored
         * @param k        the largest number of examples of a feature, at least 1
         * @return the examples by feature, in the given order; an unmodifiable map
         * @throws io.github.panascope.InputException if an activation is NaN
         * @throws RunInterruptedException            if the thread is interrupted
         * @throws IndexOutOfBoundsException          if the SAE has no such feature
         * @throws IllegalArgumentException           if {@code k} is less than 1, or the rows are longer than the
         *     model's n_ctx
         */
        public Map<Integer, FeatureExamples> top(TokenDataset rows, int[] features, int k) {
            ExampleSearch search = new ExampleSearch(this, features, k);
            for (int row = 0; row < rows.rows(); row++) search.row(row, rows.row(row));
            return search.finish();
        }
    }
}
