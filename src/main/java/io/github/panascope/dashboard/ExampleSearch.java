package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.dashboard.FeatureExamples.Example;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** One run of a {@link FeatureExamples.Search}: cuts texts into rows, runs batches of rows, and keeps the best rows. */
final class ExampleSearch {
    private static final String SEARCHING = "searching for examples";

    private final FeatureExamples.Search settings;
    private final Sae sae;
    private final HookedTransformer model;
    private final Tokenizer tokenizer;
    private final Device device;
    /** The best rows of each feature, in the order in which the features were given. */
    private final Map<Integer, Best> best = new LinkedHashMap<>();
    /** As above, by ascending feature. */
    private final NavigableMap<Integer, Best> sorted;

    private final List<Row> batch = new ArrayList<>();
    private long texts;
    private int rowsRun;

    /**
     * Consecutive tokens of a text that run together.
     *
     * @param text  the number of the text
     * @param ids   the tokens of the whole text
     * @param first the first token that belongs to the row
     * @param end   the token after the last
     * @param bos   1 if the row begins with a bos token that is none of the text's, otherwise 0
     */
    private record Row(long text, int[] ids, int first, int end, int bos) {
        int length() {
            return bos + end - first;
        }
    }

    /** The k rows with the highest activations so far. */
    private static final class Best {
        private final TopK top;
        private final Map<Integer, Example> examples = new HashMap<>();

        Best(int k) {
            top = new TopK(k);
        }

        void offer(int row, double activation, Example example) {
            examples.put(row, example);
            top.offer(row, activation);
            if (examples.size() > top.size())
                examples.keySet().retainAll(Arrays.stream(top.indices()).boxed().collect(Collectors.toSet()));
        }

        List<Example> inOrder() {
            return Arrays.stream(top.indices()).mapToObj(examples::get).toList();
        }
    }

    ExampleSearch(FeatureExamples.Search settings, int[] features, int k) {
        if (k < 1) throw new IllegalArgumentException("there should be at least one example, not " + k);
        this.settings = settings;
        this.sae = settings.sae;
        this.model = settings.model;
        this.tokenizer = model.tokenizer();
        this.device = model.device();
        this.texts = settings.firstText;
        for (int feature : features) {
            if (feature < 0 || feature >= sae.config().dSae())
                throw new IndexOutOfBoundsException("feature " + feature + " is outside the SAE's features 0 to "
                        + (sae.config().dSae() - 1));
            best.computeIfAbsent(feature, _ -> new Best(k));
        }
        this.sorted = new TreeMap<>(best);
    }

    void texts(TokenDataset.Documents documents) {
        try {
            documents.forEach(text -> {
                RunInterruptedException.check(SEARCHING);
                text(Objects.requireNonNull(text, "a text is null: leave it out"));
            });
        } catch (InputException e) {
            RunInterruptedException.check(SEARCHING, e); // an interruption closes a file that is being read
            throw e;
        }
    }

    private void text(String text) {
        int[] ids = tokenizer.encode(text);
        int bos = sae.config().prependBos() ? 1 : 0;
        int longest = settings.context - bos;
        for (int first = 0; first < ids.length; first += longest)
            add(new Row(texts, ids, first, Math.min(ids.length, first + longest), bos));
        texts++;
    }

    /** Adds a row of tokens as it is. */
    void row(long number, int[] ids) {
        add(new Row(number, ids, 0, ids.length, 0));
    }

    private void add(Row row) {
        batch.add(row);
        if (batch.size() == settings.rowsInBatch) run();
    }

    /** Runs the rows that are left. */
    Map<Integer, FeatureExamples> finish() {
        if (!batch.isEmpty()) run();
        Map<Integer, FeatureExamples> found = new LinkedHashMap<>();
        best.forEach((feature, rows) -> found.put(feature, new FeatureExamples(feature, rows.inOrder())));
        return Collections.unmodifiableMap(found);
    }

    private void run() {
        RunInterruptedException.check(SEARCHING);
        int length = batch.stream().mapToInt(Row::length).max().orElseThrow();
        try (var _ = TensorScope.open()) {
            // The model looks back only, so that what fills up a row has no influence on it.
            Tensor tokens = Tensor.of(ids(length), Shape.of(batch.size(), length), device);
            Tensor activation = model.forward(tokens).activation(sae.config().hookName());
            sae.encodeInGroups(
                    activation,
                    FeatureCollector.FEATURES_IN_GROUP,
                    first -> !wanted(first, FeatureCollector.FEATURES_IN_GROUP).isEmpty(),
                    (first, features) -> compare(wanted(first, (int) features.size(1)), first, features, length));
        }
        rowsRun = Math.addExact(rowsRun, batch.size());
        batch.clear();
        settings.progress.accept(rowsRun);
    }

    private NavigableMap<Integer, Best> wanted(int first, int count) {
        return sorted.subMap(first, true, first + count, false);
    }

    private long[] ids(int length) {
        long[] ids = new long[batch.size() * length];
        Arrays.fill(ids, tokenizer.bos());
        for (int r = 0; r < batch.size(); r++) {
            Row row = batch.get(r);
            for (int i = row.first; i < row.end; i++) ids[r * length + row.bos + i - row.first] = row.ids[i];
        }
        return ids;
    }

    /**
     * Compares what a batch gives with the best rows so far.
     *
     * @param wanted   the features of a group that are searched for
     * @param first    the first feature of the group
     * @param features the group's features [rows * length, group]
     */
    private void compare(NavigableMap<Integer, Best> wanted, int first, Tensor features, int length) {
        long[] columns =
                wanted.keySet().stream().mapToLong(feature -> feature - first).toArray();
        // One row for each feature, [columns, rows * length]: only these go to the host.
        float[] values = features.indexSelect(1, Tensor.of(columns, Shape.of(columns.length), device))
                .t()
                .toFloats();
        int at = 0;
        for (Map.Entry<Integer, Best> each : wanted.entrySet()) {
            for (int r = 0; r < batch.size(); r++, at += length)
                compare(each.getValue(), each.getKey(), r, Arrays.copyOfRange(values, at, at + length));
        }
    }

    /** Compares a row's activations [length] of one feature with the feature's best rows. */
    private void compare(Best kept, int feature, int r, float[] values) {
        Row row = batch.get(r);
        int highest = -1;
        for (int i = row.bos; i < row.length(); i++) {
            if (Float.isNaN(values[i]))
                throw new InputException("feature " + feature + " is not a number at text " + row.text + ", position "
                        + (row.first + i - row.bos) + ".");
            if (tokenizer.isSpecial(row.ids[row.first + i - row.bos])) continue;
            if (values[i] > (highest < 0 ? 0 : values[highest])) highest = i;
        }
        if (highest >= 0 && values[highest] > kept.top.least())
            kept.offer(rowsRun + r, values[highest], example(row, row.first + highest - row.bos, values));
    }

    private Example example(Row row, int position, float[] values) {
        int from = Math.max(0, position - settings.buffer);
        int to = (int) Math.min(row.ids.length, position + 1L + settings.buffer);
        int first = Math.max(from, row.first);
        int end = Math.min(to, row.end);
        int place = row.bos - row.first; // of the text's first token among the values
        return new Example(
                row.text,
                position,
                first,
                tokenizer.tokens(Arrays.copyOfRange(row.ids, first, end)),
                Arrays.copyOfRange(values, place + first, place + end),
                tokenizer.decode(Arrays.copyOfRange(row.ids, from, first)),
                tokenizer.decode(Arrays.copyOfRange(row.ids, end, to)));
    }
}
