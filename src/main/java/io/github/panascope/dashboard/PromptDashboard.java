package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * The activations of features at one prompt, for SAEDashboard's prompt-centric view: the strongest features at each of
 * the prompt's tokens, by three measures. It holds no native memory.
 *
 * <p>The quantiles of a feature come from its dashboard. A feature is only listed by {@link #top} after {@link #accept}
 * has received its dashboard.
 */
public final class PromptDashboard implements DashboardSink {
    /** The number of pairs of a feature and a position whose log-probabilities are held at once on the CPU. */
    private static final int PAIRS_AT_ONCE = 256;
    /**
     * The number of pairs of a feature and a position whose log-probabilities are held at once on a GPU: 0.4 GB, in a
     * few tensors of that size.
     */
    private static final int PAIRS_ON_DEVICE = 2048;

    private static final float[] NONE = new float[0];
    private static final String MAKING = "looking at a prompt";

    /** The measures by which features are ranked at a token, under SAEDashboard's names. */
    public enum Metric {
        /** The activation. */
        ACT_SIZE,
        /**
         * The smallest level of {@link Dashboards#quantiles} at which the quantile of the feature's activations over
         * all rows is at least the activation at this token; 1 if there is none.
         */
        ACT_QUANTILE,
        /**
         * The loss of this token with the feature minus the loss without it, lowest first. It is exact if ablation
         * experiments were made. Otherwise it is the effect by the linear lens ({@link Ablation#lensLossEffect}), which
         * removes the feature only at the position before the token.
         */
        LOSS_EFFECT;

        /** {@return the name as SAEDashboard writes it, in lower case, such as {@code act_size}} */
        public String title() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private final int[] tokens;
    private final Map<Integer, Sequence> sequences = new TreeMap<>();
    private final Map<Integer, double[]> quantiles = new TreeMap<>();

    private PromptDashboard(int[] tokens) {
        this.tokens = tokens;
    }

    /**
     * Runs the model over a prompt once. If ablation experiments are requested, the model also runs for each active
     * feature.
     *
     * @param model  the model
     * @param sae    the SAE, in the form in which the rows were collected
     * @param tokens the token ids of the prompt, at least one, with the bos token first if the SAE was trained
     *     that way
     * @param config the positions at which features count as zero, the number of changed logits, and whether ablation
     *     experiments are made; the other settings are not used
     * @return the prompt with its active features
     * @throws io.github.panascope.InputException          if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException                    if there are no tokens
     */
    public static PromptDashboard of(HookedTransformer model, Sae sae, int[] tokens, DashboardConfig config) {
        sae.requireFits(model);
        if (tokens.length == 0) throw new IllegalArgumentException("a prompt needs at least one token");
        try (var _ = Torch.singleThreaded()) { // so that the numbers do not depend on the number of processors
            return run(model, sae, tokens, config);
        }
    }

    private static PromptDashboard run(HookedTransformer model, Sae sae, int[] tokens, DashboardConfig config) {
        RunInterruptedException.check(MAKING);
        PromptDashboard prompt = new PromptDashboard(tokens.clone());
        DecoderDirections directions = new DecoderDirections(model, sae);
        try (var _ = TensorScope.open()) {
            long[] ids = Arrays.stream(tokens).asLongStream().toArray();
            String hook = sae.config().hookName();
            String last = "blocks." + (model.config().nLayers() - 1) + ".hook_resid_post";
            Forward run = model.forward(Tensor.of(ids, Shape.of(1, ids.length))).caching(hook, last);
            run.logits();
            RunInterruptedException.check(MAKING);
            Tensor activation = run.cache().get(hook);
            BitSet excluded = excluded(sae, activation, tokens, config);
            Map<Integer, float[]> all = active(sae, activation);
            Map<Integer, float[]> active = counting(all, excluded);
            int[] features =
                    active.keySet().stream().mapToInt(Integer::intValue).toArray();
            float[][] logits = new float[features.length][];
            float[][] lens = new float[features.length][];
            Arrays.fill(logits, NONE);
            Arrays.fill(lens, NONE);
            Ablations ablations = new Ablations(model, sae, directions, config.topLogitsHoverdata());
            if (directions.exist() && features.length > 0) {
                Tensor directed = directions.of(features).to(DType.FLOAT32);
                Tensor unembed = model.tokensToResidualDirections(Tensor.of(ids, Shape.of(ids.length)))
                        .to(DType.FLOAT32);
                rows(directed.matmul(unembed.t()), logits);
                if (ablations.hasLens())
                    lens(
                            ablations,
                            run.cache().get(last).select(0, 0).to(DType.FLOAT32),
                            directed,
                            active.values().toArray(float[][]::new),
                            ids,
                            lens);
            }
            List<Ablation> found = config.performAblationExperiments()
                    ? ablations.of(Arrays.stream(features)
                            .mapToObj(
                                    feature -> new Ablations.Piece(feature, tokens, all.get(feature), 0, tokens.length))
                            .toList())
                    : List.of();
            for (int i = 0; i < features.length; i++) {
                float[] values = active.get(features[i]);
                Ablation ablation = found.isEmpty()
                        ? new Ablation(NONE, lens[i], new int[0][], new float[0][], new int[0][], new float[0][])
                        : found.get(i);
                int strongest = TopK.of(values, 1)[0];
                prompt.sequences.put(
                        features[i], new Sequence(-1, strongest, 0, tokens.clone(), values, logits[i], ablation));
            }
        }
        return prompt;
    }

    private static BitSet excluded(Sae sae, Tensor activation, int[] tokens, DashboardConfig config) {
        Exclusion exclusion = new Exclusion(config);
        float[] norms = new float[tokens.length];
        if (exclusion.usesNorms()) {
            Tensor rows = sae.inputRows(activation).to(DType.FLOAT32);
            float[] squared = rows.mul(rows).sum(-1, false).toFloats();
            for (int i = 0; i < norms.length; i++) norms[i] = (float) Math.sqrt(squared[i]);
        }
        BitSet excluded = new BitSet();
        exclusion.addTo(excluded, 0, tokens, norms);
        return excluded;
    }

    /** {@return the activations of the features that are active at any position, by feature} */
    private static Map<Integer, float[]> active(Sae sae, Tensor activation) {
        Map<Integer, float[]> active = new TreeMap<>();
        float[] features = sae.encode(sae.inputRows(activation)).toFloats();
        int dSae = sae.config().dSae();
        int positions = features.length / dSae;
        for (int t = 0; t < positions; t++) {
            for (int f = 0; f < dSae; f++)
                if (features[t * dSae + f] > 0)
                    active.computeIfAbsent(f, _ -> new float[positions])[t] = features[t * dSae + f];
        }
        return active;
    }

    /**
     * {@return a copy of the activations with zeros at excluded positions, without features that are then active
     * nowhere}
     */
    private static Map<Integer, float[]> counting(Map<Integer, float[]> active, BitSet excluded) {
        Map<Integer, float[]> counting = new TreeMap<>();
        active.forEach((feature, values) -> {
            float[] kept = values.clone();
            excluded.stream().forEach(t -> kept[t] = 0);
            for (float value : kept) if (value > 0) counting.put(feature, kept);
        });
        return counting;
    }

    private static void rows(Tensor values, float[][] into) {
        float[] flat = values.toFloats();
        int width = flat.length / into.length;
        for (int i = 0; i < into.length; i++) into[i] = Arrays.copyOfRange(flat, i * width, (i + 1) * width);
    }

    /** Computes the linear lens at the positions where features are active, with many pairs in one product. */
    private static void lens(
            Ablations ablations, Tensor stream, Tensor directions, float[][] activations, long[] ids, float[][] lens) {
        int positions = ids.length;
        int size = 0;
        for (int f = 0; f < activations.length; f++) lens[f] = new float[positions];
        if (positions < 2) return;
        float[] with = ablations
                .lensLogProbs(stream.slice(0, 0, positions - 1))
                .gather(
                        -1,
                        Tensor.of(Arrays.copyOfRange(ids, 1, positions), Shape.of(positions - 1, 1))
                                .to(stream.device()))
                .toFloats();
        int pairs = stream.device().isCpu() ? PAIRS_AT_ONCE : PAIRS_ON_DEVICE;
        int[] features = new int[pairs];
        int[] at = new int[pairs];
        for (int f = 0; f < activations.length; f++) {
            for (int t = 0; t + 1 < positions; t++) {
                if (activations[f][t] == 0) continue;
                features[size] = f;
                at[size++] = t;
                if (size < pairs) continue;
                lensOf(ablations, stream, directions, activations, ids, with, features, at, size, lens);
                size = 0;
            }
        }
        if (size > 0) lensOf(ablations, stream, directions, activations, ids, with, features, at, size, lens);
    }

    private static void lensOf(
            Ablations ablations,
            Tensor stream,
            Tensor directions,
            float[][] activations,
            long[] ids,
            float[] with,
            int[] features,
            int[] at,
            int size,
            float[][] lens) {
        RunInterruptedException.check(MAKING);
        try (var _ = TensorScope.open()) {
            long[] feature = new long[size];
            long[] position = new long[size];
            long[] target = new long[size];
            float[] value = new float[size];
            for (int i = 0; i < size; i++) {
                feature[i] = features[i];
                position[i] = at[i];
                target[i] = ids[at[i] + 1];
                value[i] = activations[features[i]][at[i]];
            }
            Shape pairs = Shape.of(size);
            Tensor part = directions
                    .indexSelect(0, Tensor.of(feature, pairs).to(stream.device()))
                    .mul(Tensor.of(value, Shape.of(size, 1)).to(stream.device()));
            Tensor without = ablations.lensLogProbs(
                    stream.indexSelect(0, Tensor.of(position, pairs).to(stream.device()))
                            .sub(part));
            float[] found = without.gather(
                            -1, Tensor.of(target, Shape.of(size, 1)).to(stream.device()))
                    .toFloats();
            for (int i = 0; i < size; i++) lens[features[i]][at[i] + 1] = found[i] - with[at[i]];
        }
    }

    /** {@return the token ids of the prompt; a new array} */
    public int[] tokens() {
        return tokens.clone();
    }

    /** {@return the features that are active at the prompt, ascending; a new array} */
    public int[] features() {
        return sequences.keySet().stream().mapToInt(Integer::intValue).toArray();
    }

    /**
     * Returns the whole prompt as a sequence about the position where a feature is strongest. Its row is -1.
     *
     * @param feature a feature that is active at the prompt
     * @return the sequence
     * @throws IllegalArgumentException if the feature is not active at the prompt
     */
    public Sequence sequence(int feature) {
        Sequence found = sequences.get(feature);
        if (found == null) throw new IllegalArgumentException("feature " + feature + " is not active at the prompt");
        return found;
    }

    /**
     * Computes the quantiles of a feature at the prompt. Features that are not active at the prompt are ignored.
     *
     * @param dashboard the dashboard of the feature
     */
    @Override
    public void accept(FeatureDashboard dashboard) {
        Sequence sequence = sequences.get(dashboard.feature());
        if (sequence == null) return;
        double[] levels = Dashboards.quantiles();
        double[] data = dashboard.statistics().quantileData();
        double[] found = new double[tokens.length];
        int leading = levels.length - data.length;
        for (int t = 0; t < found.length; t++) {
            // Rounded like the quantiles, so that the highest activation is found among them.
            double value = Histogram.rounded(sequence.activations()[t], 6);
            int level = Arrays.binarySearch(data, value);
            while (level > 0 && data[level - 1] == value) level--;
            if (level < 0) level = -level - 1;
            found[t] = level == data.length ? 1 : levels[leading + level];
        }
        quantiles.put(dashboard.feature(), found);
    }

    /**
     * Returns the strongest features at a token, strongest first. Features without a dashboard are left out. For
     * {@link Metric#LOSS_EFFECT} the list is empty at the first token.
     *
     * @param metric   the measure
     * @param position the position of the token in the prompt, from 0
     * @param count    the largest number of features, at least 0
     * @return entries with the number of the feature, the measure, and the activation at the token, or at the position
     *     before it for {@link Metric#LOSS_EFFECT}
     * @throws IndexOutOfBoundsException if the prompt has no such position
     * @throws IllegalArgumentException  if the count is negative
     */
    public List<Entry> top(Metric metric, int position, int count) {
        if (position < 0 || position >= tokens.length)
            throw new IndexOutOfBoundsException(
                    "position " + position + " is outside the prompt's " + tokens.length + " tokens");
        if (count < 0) throw new IllegalArgumentException("there cannot be " + count + " features");
        int at = metric == Metric.LOSS_EFFECT ? position - 1 : position;
        if (at < 0) return List.of();
        List<Entry> entries = quantiles.keySet().stream()
                .filter(feature -> sequences.get(feature).activations()[at] > 0)
                .map(feature -> new Entry(
                        feature,
                        measure(metric, feature, position),
                        sequences.get(feature).activations()[at]))
                .filter(entry -> !Double.isNaN(entry.value()))
                .toList();
        double sign = metric == Metric.LOSS_EFFECT ? -1 : 1;
        // Many features may be at their highest quantile, so equal measures are sorted by activation.
        return entries.stream()
                .sorted((a, b) -> {
                    int order = Double.compare(sign * b.value(), sign * a.value());
                    return order != 0 ? order : Double.compare(b.second(), a.second());
                })
                .limit(count)
                .toList();
    }

    private double measure(Metric metric, int feature, int position) {
        Sequence sequence = sequences.get(feature);
        return switch (metric) {
            case ACT_SIZE -> sequence.activations()[position];
            case ACT_QUANTILE -> quantiles.get(feature)[position];
            case LOSS_EFFECT -> {
                float[] effects = sequence.ablation().lossEffect().length > 0
                        ? sequence.ablation().lossEffect()
                        : sequence.ablation().lensLossEffect();
                yield effects.length == 0 ? Double.NaN : effects[position];
            }
        };
    }

    /** {@return a description with the numbers of tokens and of active features} */
    @Override
    public String toString() {
        return "PromptDashboard(" + tokens.length + " tokens, " + sequences.size() + " features)";
    }
}
