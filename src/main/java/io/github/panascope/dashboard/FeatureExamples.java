package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.internal.CompactForm;
import io.github.panascope.internal.PythonText;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import java.io.DataInput;
import java.io.DataInputStream;
import java.io.DataOutput;
import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.io.Serializable;
import java.io.StreamCorruptedException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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
 * of that length; a row begins with the bos token if the SAE's {@code prepend_bos} says so. A row gives at most
 * one example, at its highest activation. Positions of special tokens give none, because features are often
 * strong there whatever they stand for. Activations are those of {@link Sae#encode}: with an SAE of
 * {@code foldWDecNorm} they are on the scale of the dashboards.
 *
 * <p>The examples of parts of a corpus can be merged, in any order and grouping, and can be serialized. Of parts that
 * begin at different {@link Search#firstText}, they are the examples of the whole corpus. An activation may differ in
 * its last bits where other rows run in its batch.
 *
 * @param feature  the number of the feature
 * @param examples the examples, highest activation first; of equal ones the earlier row first. There are fewer than
 *     were asked for if the feature is active in fewer rows
 */
public record FeatureExamples(int feature, List<Example> examples) implements Serializable {
    /** The tokens of a row where the SAE does not say its context; the scores of longer ones take much memory. */
    private static final int DEFAULT_CONTEXT = 1024;

    private static final CompactForm FORM = new CompactForm("FeatureExamples", 'X', 1);
    /** The highest activation first; of equal ones the earlier row first. The rest is there for rows that are equal. */
    private static final Comparator<Example> ORDER = Comparator.comparing(Example::activation)
            .reversed()
            .thenComparing(Example::text)
            .thenComparing(Example::position)
            .thenComparing(Example::first)
            .thenComparing(Example::before)
            .thenComparing(example -> example.tokens.toArray(String[]::new), Arrays::compare)
            .thenComparing(Example::after)
            .thenComparing(Example::activations, Arrays::compare);

    /** Copies the list. */
    public FeatureExamples {
        examples = List.copyOf(examples);
    }

    /**
     * One example: a window of tokens around the strongest one.
     *
     * @param text        the number of the text or of the dataset's row, from {@link Search#firstText}
     * @param position    the position of the strongest token, from 0: in a text, without the bos token that
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

        private void writeTo(DataOutput out) throws IOException {
            CompactForm.writeVarint(out, text);
            CompactForm.writeVarint(out, position);
            CompactForm.writeVarint(out, first);
            CompactForm.writeVarint(out, tokens.size());
            for (String token : tokens) CompactForm.writeText(out, token);
            for (float activation : activations) out.writeFloat(activation);
            CompactForm.writeText(out, before);
            CompactForm.writeText(out, after);
        }

        private static Example readFrom(DataInputStream in) throws IOException {
            long text = CompactForm.readCount(in);
            int position = CompactForm.readSize(in);
            int first = CompactForm.readSize(in);
            String[] tokens = new String[CompactForm.readLength(in)];
            if (position < first || position - first >= tokens.length)
                throw new StreamCorruptedException("a token " + position + " outside its window");
            for (int i = 0; i < tokens.length; i++) tokens[i] = CompactForm.readText(in);
            float[] activations = new float[tokens.length];
            for (int i = 0; i < activations.length; i++) activations[i] = in.readFloat();
            return new Example(
                    text,
                    position,
                    first,
                    List.of(tokens),
                    activations,
                    CompactForm.readText(in),
                    CompactForm.readText(in));
        }
    }

    /**
     * Returns the strongest of these examples and of others, such as those of another part of a corpus. If both were
     * searched for with at least k, they are the k strongest of both parts. An example that is in both counts once.
     *
     * @param other examples of the same feature
     * @param k     the largest number of examples, at least 1
     * @return the examples, in the order of {@link #examples}; a new object
     * @throws IllegalArgumentException if the other examples are of another feature, or {@code k} is less than 1
     */
    public FeatureExamples merge(FeatureExamples other, int k) {
        if (k < 1) throw new IllegalArgumentException("there should be at least one example, not " + k);
        if (other.feature != feature)
            throw new IllegalArgumentException(
                    "examples of feature " + other.feature + " cannot be merged with those of feature " + feature);
        return new FeatureExamples(
                feature,
                Stream.concat(examples.stream(), other.examples.stream())
                        .distinct()
                        .sorted(ORDER)
                        .limit(k)
                        .toList());
    }

    /**
     * Writes these examples in a compact form. Equal examples write equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> {
            CompactForm.writeVarint(content, feature);
            CompactForm.writeVarint(content, examples.size());
            for (Example example : examples) example.writeTo(content);
        });
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return the examples
     * @throws io.github.panascope.InputException if the bytes are not those of FeatureExamples of this version, or are
     *     damaged
     * @throws IOException if the input fails
     */
    public static FeatureExamples readFrom(DataInput in) throws IOException {
        return FORM.read(in, content -> {
            int feature = CompactForm.readSize(content);
            Example[] examples = new Example[CompactForm.readLength(content)];
            for (int i = 0; i < examples.length; i++) examples[i] = Example.readFrom(content);
            return new FeatureExamples(feature, List.of(examples));
        });
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /** What Java serialization writes in place of examples: their compact form. */
    private static final class Serialized implements Externalizable {
        private static final long serialVersionUID = 1L;

        private transient FeatureExamples examples;

        /** Makes an object that reads its examples. Only Java serialization calls this. */
        public Serialized() {}

        Serialized(FeatureExamples examples) {
            this.examples = examples;
        }

        @Override
        public void writeExternal(ObjectOutput out) throws IOException {
            examples.writeTo(out);
        }

        @Override
        public void readExternal(ObjectInput in) throws IOException {
            examples = readFrom(in);
        }

        private Object readResolve() {
            return examples;
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
        long firstText;
        IntConsumer progress = _ -> {};

        private Search(HookedTransformer model, Sae sae) {
            this.model = model;
            this.sae = sae;
            int longest = model.config().nCtx();
            int trained = sae.config().contextSize();
            context = Math.min(trained > 1 ? trained : DEFAULT_CONTEXT, longest);
        }

        /**
         * Sets the number of tokens of the longest rows, the bos token included. The default is the context
         * size of the SAE's training, or 1,024 where that is at most 1, but no more than the model's n_ctx.
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
         * Sets the number that {@link Example#text} counts from, for a part of a corpus. The default is 0.
         *
         * @param number the number of the first text or row, at least 0
         * @return this search
         * @throws IllegalArgumentException if the number is negative
         */
        public Search firstText(long number) {
            if (number < 0) throw new IllegalArgumentException("texts are numbered from 0, not from " + number);
            firstText = number;
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
            for (int row = 0; row < rows.rows(); row++) search.row(firstText + row, rows.row(row));
            return search.finish();
        }
    }
}
