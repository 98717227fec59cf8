package io.github.panascope.metrics;

import io.github.panascope.internal.CompactForm;
import io.github.panascope.internal.ExactSum;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Architecture;
import io.github.panascope.sae.Sae;
import io.github.panascope.sae.SaeConfig;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.DataInput;
import java.io.DataInputStream;
import java.io.DataOutput;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.io.StreamCorruptedException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The metrics of SAELens 6's {@code sae_lens.evals}, with its names and groups, over rows of tokens, in bounded memory.
 * Means are computed from exact sums of float64 terms; evaluations can be merged, and can be serialized. Positions of
 * special tokens are excluded: the model's own activation stays there, and the results at these positions do not
 * count (a loss belongs to the position that predicts).
 *
 * <p>With x the activation, x̂ the output of the SAE and f its features, over positions:
 *
 * <ul>
 * <li>model_behavior_preservation: kl_div_with_sae and kl_div_with_ablation, the mean of KL(original ‖ changed) of
 * next-token distributions, in nats; kl_div_score = (ablation − sae) / ablation
 * <li>model_performance_preservation: ce_loss_without_sae, ce_loss_with_sae, ce_loss_with_ablation (zeros), in nats;
 * ce_loss_score = (ablation − sae) / (ablation − without)
 * <li>reconstruction_quality: explained_variance = 1 − E‖x−x̂‖² / (E‖x‖² − ‖E x‖²); explained_variance_legacy, the mean
 * of 1 − ‖x−x̂‖² / ‖x−x̄‖² with x̄ the mean of a batch; mse = E‖x−x̂‖²; cossim = E cos(x, x̂)
 * <li>shrinkage: l2_norm_in = E‖x‖, l2_norm_out = E‖x̂‖, l2_ratio = E(‖x̂‖ / ‖x‖), relative_reconstruction_bias =
 * E‖x̂‖² / E⟨x, x̂⟩, as the mean over batches
 * <li>sparsity: l0 = E|{f ≠ 0}|, l1 = E Σ|f|
 * <li>metrics of features: feature_density, the share of positions at which a feature fires;
 * consistent_activation_heuristic, the number of firings per row in which it fires; encoder_norm, encoder_bias,
 * encoder_decoder_cosine_sim
 * </ul>
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     TextDataset texts = TextDataset.of("NeelNanda/pile-10k", Hub.fromEnvironment());
 *     TokenDataset tokens = TokenDataset.concatAndBatchSequences(
 *             texts::forEach, model.tokenizer(), sae.config().contextSize(), true, 32);
 *     SaeEvals evals = SaeEvals.run(
 *             model, sae, tokens.batch(0, tokens.rows()), 16, 16, true, rows -> {});
 *     evals.metrics().forEach((group, metrics) -> System.out.println(group + " " + metrics));
 * }
 * }</pre>
 */
public final class SaeEvals implements Serializable {
    /** The version of SAELens whose formulas are used; several formulas differ between versions. */
    public static final String FORMULAS = "sae-lens 6.54";

    private static final long serialVersionUID = 1L;
    /** The number of features whose weights are compared at once: 150 MB in float32 at 2,304 dimensions. */
    private static final int FEATURES_AT_ONCE = 1 << 14;

    private static final CompactForm FORM = new CompactForm("SaeEvals", 'E', 1);
    /** The number of counts that are not of features. */
    private static final int COUNTS = 5;

    /** What is summed, over positions unless it says otherwise. */
    private enum Total {
        KL_SAE,
        KL_ABLATION,
        CE_WITHOUT,
        CE_SAE,
        CE_ABLATION,
        LEGACY,
        SQUARED_ERROR,
        NORM_IN,
        NORM_OUT,
        RATIO,
        COSINE,
        /** Over batches. */
        BIAS,
        L1
    }

    /** What evaluations must have in common to be merged. */
    private record Subject(
            String model,
            String sae,
            String hookName,
            String hookNameOut,
            int dIn,
            int dOut,
            int dSae,
            int batchSizePrompts,
            boolean excludeSpecialTokens) {
        boolean isOf(Sae other) {
            SaeConfig config = other.config();
            return sae.equals(other.name())
                    && hookName.equals(config.hookName())
                    && hookNameOut.equals(config.hookNameOut())
                    && dIn == config.dIn()
                    && dOut == config.dOut()
                    && dSae == config.dSae();
        }

        void writeTo(DataOutput out) throws IOException {
            for (String name : List.of(model, sae, hookName, hookNameOut)) CompactForm.writeText(out, name);
            for (int size : new int[] {dIn, dOut, dSae, batchSizePrompts}) CompactForm.writeVarint(out, size);
            out.writeBoolean(excludeSpecialTokens);
        }

        static Subject readFrom(DataInputStream in) throws IOException {
            return new Subject(
                    CompactForm.readText(in),
                    CompactForm.readText(in),
                    CompactForm.readText(in),
                    CompactForm.readText(in),
                    CompactForm.readSize(in),
                    CompactForm.readSize(in),
                    CompactForm.readSize(in),
                    CompactForm.readSize(in),
                    in.readBoolean());
        }
    }

    /** Null before the first rows. */
    private transient @Nullable Subject subject;

    private transient Map<Total, ExactSum> sums = new EnumMap<>(Total.class);
    private transient ExplainedVariance variance = new ExplainedVariance();
    /** Of activations, and of KL and loss. */
    private transient long positions, klPositions, cePositions;

    private transient long batches, l0;
    /** For each feature, the number of positions, and of rows, in which it is active. */
    private transient long[] firings = {}, rowsFired = {};

    /** Makes an evaluation of no rows, to which those of an SAE can be merged. */
    public SaeEvals() {
        for (Total total : Total.values()) sums.put(total, new ExactSum());
    }

    private void start(Subject subject) {
        this.subject = subject;
        firings = new long[subject.dSae];
        rowsFired = new long[subject.dSae];
    }

    /**
     * Computes all metrics of an SAE.
     *
     * @param model                the model
     * @param sae                  the SAE, whose hook points the model has
     * @param tokens               int64 [rows, pos], normally on the CPU
     * @param batchSizePrompts     rows of a batch, for the two metrics that are means over batches (16 with SAELens)
     * @param sparsityRows         number of rows, from the first, that count for sparsity, shrinkage, reconstruction
     *     quality and features (one batch with SAELens)
     * @param excludeSpecialTokens true to exclude positions of the tokenizer's bos, eos and pad tokens
     * @param progress             called with the number of rows that are done; the pass over activations, which comes
     *     first, does not report
     * @return the evaluation, which can be merged with others
     * @throws IllegalArgumentException if {@code batchSizePrompts} or {@code sparsityRows} is less than 1
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static SaeEvals run(
            HookedTransformer model,
            Sae sae,
            Tensor tokens,
            int batchSizePrompts,
            int sparsityRows,
            boolean excludeSpecialTokens,
            IntConsumer progress) {
        sae.requireFits(model);
        if (batchSizePrompts < 1 || sparsityRows < 1)
            throw new IllegalArgumentException("batchSizePrompts and sparsityRows should be at least 1");
        SaeConfig config = sae.config();
        SaeEvals evals = new SaeEvals();
        evals.start(new Subject(
                model.name(),
                sae.name(),
                config.hookName(),
                config.hookNameOut(),
                config.dIn(),
                config.dOut(),
                config.dSae(),
                batchSizePrompts,
                excludeSpecialTokens));
        evals.add(new EvalBatches(model, sae, excludeSpecialTokens), tokens, sparsityRows, progress);
        return evals;
    }

    private void add(EvalBatches of, Tensor tokens, int sparsityRows, IntConsumer progress) {
        int rows = (int) tokens.size(0);
        int batch = subject.batchSizePrompts;
        int sparse = Math.min(rows, sparsityRows);
        try (ReadAhead results = new ReadAhead("evaluating an SAE")) {
            for (int start = 0; start < sparse; start += batch) {
                int first = start;
                int end = Math.min(sparse, start + batch);
                results.next(
                        () -> of.activations(tokens.slice(0, first, end)), found -> addActivations(found.toDoubles()));
            }
            int rowsAtOnce = of.rowsAtOnce(tokens.size(1));
            for (int start = 0, count; start < rows; start += count) {
                // Not beyond a batch, so that parts of whole batches give the sums of the whole.
                count = Math.min(rows - start, Math.min(rowsAtOnce, batch - start % batch));
                int first = start;
                int end = start + count;
                results.next(() -> of.downstream(tokens.slice(0, first, end)), found -> {
                    addDownstream(found.toDoubles());
                    progress.accept(end);
                });
            }
        }
    }

    private void addDownstream(double[] found) {
        add(Total.CE_WITHOUT, -found[0]);
        add(Total.KL_SAE, found[1]);
        add(Total.CE_SAE, -found[2]);
        add(Total.KL_ABLATION, found[3]);
        add(Total.CE_ABLATION, -found[4]);
        klPositions += (long) found[5];
        cePositions += (long) found[6];
    }

    private void addActivations(double[] found) {
        int at = 0;
        positions += (long) found[at++];
        add(Total.LEGACY, found[at++]);
        add(Total.SQUARED_ERROR, found[at++]);
        add(Total.NORM_IN, found[at++]);
        add(Total.NORM_OUT, found[at++]);
        add(Total.RATIO, found[at++]);
        add(Total.COSINE, found[at++]);
        add(Total.BIAS, found[at] / found[at + 1]);
        at += 2;
        variance.add(found, at, subject.dOut);
        at += 3 + subject.dOut;
        while (at < found.length) {
            l0 += (long) found[at];
            add(Total.L1, found[at + 1]);
            add(Total.L1, found[at + 2]);
            at += 3;
            for (int i = 0; i < firings.length; i++) {
                firings[i] += (long) found[at + i];
                rowsFired[i] += (long) found[at + firings.length + i];
            }
            at += 2 * firings.length;
        }
        batches++;
    }

    private void add(Total total, double term) {
        sums.get(total).add(term);
    }

    private double mean(Total total, long count) {
        return sums.get(total).value() / count;
    }

    /**
     * Adds the sums of another evaluation to this one. It has to be of equal model and SAE, with other rows, in whole
     * batches. Evaluations can be merged in any order and grouping, with equal results. These have the bits of one run
     * over all rows if the model computes equal bits for a batch wherever it runs.
     *
     * @param other the other evaluation, which stays as it is
     * @throws IllegalArgumentException if the names of model or SAE, the hook points, d_in, d_out, d_sae, the number of
     *     rows of a batch, or whether special tokens are excluded, differ; then nothing is added
     */
    public void merge(SaeEvals other) {
        if (other.subject == null) return;
        if (subject == null) start(other.subject);
        if (!subject.equals(other.subject))
            throw new IllegalArgumentException("only evaluations of one SAE, in batches of one size, can be merged: "
                    + other.subject + " is not " + subject);
        sums.forEach((total, sum) -> sum.add(other.sums.get(total)));
        variance.merge(other.variance);
        positions += other.positions;
        klPositions += other.klPositions;
        cePositions += other.cePositions;
        batches += other.batches;
        l0 += other.l0;
        for (int i = 0; i < firings.length; i++) {
            firings[i] += other.firings[i];
            rowsFired[i] += other.rowsFired[i];
        }
    }

    /**
     * Writes this evaluation in its compact form: what it is of, the exact sums, and counts, of which a small one takes
     * a byte. Equal evaluations write equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> {
            content.writeBoolean(subject != null);
            if (subject == null) return;
            subject.writeTo(content);
            for (ExactSum sum : sums.values()) sum.writeTo(content);
            variance.writeTo(content);
            CompactForm.writeCounts(content, new long[] {positions, klPositions, cePositions, batches, l0});
            CompactForm.writeCounts(content, firings);
            CompactForm.writeCounts(content, rowsFired);
        });
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return a new evaluation
     * @throws io.github.panascope.InputException if the bytes are not those of SaeEvals of this version, or are damaged
     * @throws IOException if the input fails
     */
    public static SaeEvals readFrom(DataInput in) throws IOException {
        return FORM.read(in, content -> {
            SaeEvals evals = new SaeEvals();
            if (content.readBoolean()) evals.readContent(content);
            return evals;
        });
    }

    private void readContent(DataInputStream content) throws IOException {
        subject = Subject.readFrom(content);
        for (Total total : Total.values()) sums.put(total, ExactSum.readFrom(content));
        variance = ExplainedVariance.readFrom(content);
        long[] counts = CompactForm.readCounts(content);
        if (counts.length != COUNTS) throw new StreamCorruptedException("a list of " + counts.length + " counts");
        positions = counts[0];
        klPositions = counts[1];
        cePositions = counts[2];
        batches = counts[3];
        l0 = counts[4];
        firings = CompactForm.readCounts(content);
        rowsFired = CompactForm.readCounts(content);
        if (firings.length != subject.dSae || rowsFired.length != subject.dSae)
            throw new StreamCorruptedException("other numbers of features than " + subject.dSae);
        if (variance.width() != 0 && variance.width() != subject.dOut)
            throw new StreamCorruptedException("activations of another width than " + subject.dOut);
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /**
     * Refuses bytes that are not the compact form.
     *
     * @param in the bytes
     * @throws InvalidObjectException always
     */
    private void readObject(ObjectInputStream in) throws InvalidObjectException {
        throw Serialized.refused();
    }

    // ------------------------------------------------------------------------------------------------- results

    /** {@return the number of positions that count for sparsity, shrinkage, reconstruction quality and features} */
    public long positions() {
        return positions;
    }

    /** {@return all metrics except those of features, by group and name, in the order of SAELens; a new map} */
    public Map<String, Map<String, Double>> metrics() {
        Map<String, Map<String, Double>> all = new LinkedHashMap<>();
        double kl = mean(Total.KL_SAE, klPositions);
        double klZero = mean(Total.KL_ABLATION, klPositions);
        double with = mean(Total.CE_SAE, cePositions);
        double without = mean(Total.CE_WITHOUT, cePositions);
        double zero = mean(Total.CE_ABLATION, cePositions);
        all.put(
                "model_behavior_preservation",
                group("kl_div_score", (klZero - kl) / klZero, "kl_div_with_ablation", klZero, "kl_div_with_sae", kl));
        all.put(
                "model_performance_preservation",
                group(
                        "ce_loss_score",
                        (zero - with) / (zero - without),
                        "ce_loss_with_ablation",
                        zero,
                        "ce_loss_with_sae",
                        with,
                        "ce_loss_without_sae",
                        without));
        all.put(
                "reconstruction_quality",
                group(
                        "explained_variance",
                        variance.value(),
                        "explained_variance_legacy",
                        mean(Total.LEGACY, positions),
                        "mse",
                        mean(Total.SQUARED_ERROR, positions),
                        "cossim",
                        mean(Total.COSINE, positions)));
        all.put(
                "shrinkage",
                group(
                        "l2_norm_in",
                        mean(Total.NORM_IN, positions),
                        "l2_norm_out",
                        mean(Total.NORM_OUT, positions),
                        "l2_ratio",
                        mean(Total.RATIO, positions),
                        "relative_reconstruction_bias",
                        mean(Total.BIAS, batches)));
        all.put("sparsity", group("l0", (double) l0 / positions, "l1", mean(Total.L1, positions)));
        return all;
    }

    private static Map<String, Double> group(Object... namesAndValues) {
        Map<String, Double> group = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2)
            group.put((String) namesAndValues[i], (Double) namesAndValues[i + 1]);
        return group;
    }

    /**
     * Returns the metrics of each feature, by their names in SAELens. Two of them exist only for some SAEs:
     * encoder_decoder_cosine_sim where input and output have the same width, encoder_bias where the architecture is not
     * gated.
     *
     * @param sae the SAE that was evaluated, whose weights some of the metrics are computed from; any SAE if this
     *     evaluation is of no rows
     * @return arrays [d_sae] by name; a value is NaN where the metric is defined only for features that fire, and the
     *     feature never fired
     * @throws IllegalArgumentException if the SAE has another name, other hook points, or another d_in, d_out or d_sae
     */
    public Map<String, double[]> featureMetrics(Sae sae) {
        if (subject != null && !subject.isOf(sae))
            throw new IllegalArgumentException("the evaluation is of " + subject + ", not of the SAE " + sae.name());
        double[] density = new double[sae.config().dSae()];
        double[] consistent = new double[density.length];
        Arrays.fill(density, Double.NaN);
        Arrays.fill(consistent, Double.NaN);
        for (int i = 0; i < firings.length; i++) {
            density[i] = (double) firings[i] / positions;
            consistent[i] = (double) firings[i] / rowsFired[i];
        }
        Map<String, double[]> all = new LinkedHashMap<>();
        all.put("feature_density", density);
        all.put("consistent_activation_heuristic", consistent);
        double[] norms = new double[density.length];
        double[] cosines = new double[density.length];
        boolean comparable = sae.config().dIn() == sae.config().dOut();
        for (int first = 0; first < norms.length; first += FEATURES_AT_ONCE) {
            int count = Math.min(FEATURES_AT_ONCE, norms.length - first);
            try (var _ = TensorScope.open()) {
                Tensor encoder =
                        sae.weight("W_enc").slice(1, first, first + count).t().to(DType.FLOAT32);
                Tensor lengths = EvalBatches.squares(encoder).sqrt();
                System.arraycopy(lengths.toDoubles(), 0, norms, first, count);
                if (!comparable) continue;
                Tensor decoder =
                        sae.weight("W_dec").slice(0, first, first + count).to(DType.FLOAT32);
                Tensor products = lengths.mul(EvalBatches.squares(decoder).sqrt());
                System.arraycopy(
                        encoder.mul(decoder).sum(-1, true).div(products).toDoubles(), 0, cosines, first, count);
            }
        }
        all.put("encoder_norm", norms);
        if (comparable) all.put("encoder_decoder_cosine_sim", cosines);
        if (sae.config().architecture() != Architecture.GATED) {
            try (var _ = TensorScope.open()) {
                all.put("encoder_bias", sae.weight("b_enc").to(DType.FLOAT32).toDoubles());
            }
        }
        return all;
    }

    /** {@return the number of rows of a batch, for the metrics that are means over batches; 0 before the first rows} */
    public int batchSizePrompts() {
        return subject == null ? 0 : subject.batchSizePrompts;
    }
}
