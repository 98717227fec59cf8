package io.github.panascope.lens;

import io.github.panascope.internal.Suggestions;
import io.github.panascope.model.ActName;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The activations that a run kept, by hook point name, in the order in which the run reached them. The tensors belong
 * to the scope that was innermost when the run began. They share memory with the activations that flowed on, so an edit
 * in place changes both.
 *
 * <p>{@link #decomposeResid} and the other decompositions split the residual stream into its components, under
 * TransformerLens's names. Each of them needs the activations that its Javadoc names. A decomposition belongs to the
 * innermost scope. Where a method takes the layer of a decomposition, -1 means the end of the model.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Tensor tokens = model.toTokens("The Eiffel Tower is in the city of");
 *     ActivationCache cache = model.runWithCache(tokens, name -> true).cache();
 *     Tensor pattern = cache.get("pattern", -1); // [1, head, pos, pos] of the last block
 *     ResidualStack parts =
 *             cache.decomposeResid(-1, BlockInput.ATTENTION, ActivationCache.Mode.ALL, true);
 *     Tensor answer = Tensor.of(new long[] {model.toSingleToken(" Paris")}, Shape.of(1));
 *     double[] effects = parts.at(-1).logitAttrs(answer).toDoubles(); // one for each label
 *     for (int i = 0; i < effects.length; i++)
 *         System.out.println(parts.labels().get(i) + " " + effects[i]);
 * }
 * }</pre>
 */
public final class ActivationCache {
    /** The block outputs that {@link #decomposeResid} includes. */
    public enum Mode {
        /** The outputs of attention and of the MLPs. */
        ALL,
        /** The outputs of attention only. */
        ATTN,
        /** The outputs of the MLPs only. */
        MLP
    }

    private final HookedTransformer model;
    private final long batch;
    private final Map<String, Tensor> activations = new LinkedHashMap<>();
    private Function<String, Tensor> recompute = name -> null;

    /**
     * Creates an empty cache.
     *
     * @param batch the number of rows of the run
     */
    ActivationCache(HookedTransformer model, long batch) {
        this.model = model;
        this.batch = batch;
    }

    void put(String name, Tensor activation) {
        activations.put(name, activation);
    }

    HookedTransformer model() {
        return model;
    }

    void recompute(Function<String, Tensor> fromCheckpoints) {
        this.recompute = fromCheckpoints;
    }

    /**
     * Returns the activation at a hook point. If the run had {@link Forward#checkpoints}, an activation that was not
     * kept is computed again; it then belongs to the innermost scope and is not added to this cache.
     *
     * @param point the name of the hook point, whole or short as {@link ActName#of(String)} takes it: {@code pre5},
     *     {@code k6a}
     * @return the activation; a kept one belongs to the scope of this cache
     * @throws IllegalArgumentException if the run did not keep the activation and it cannot be computed again
     */
    public Tensor get(String point) {
        String name = activations.containsKey(point) ? point : ActName.of(point);
        Tensor activation = activations.get(name);
        if (activation == null) activation = recompute.apply(name);
        if (activation == null) {
            throw new IllegalArgumentException(
                    "the cache does not hold '" + name + "'." + Suggestions.didYouMean(name, activations.keySet())
                            + " It holds " + activations.size() + " activations.");
        }
        return activation;
    }

    /**
     * Returns the activation at the hook point that a short name and a layer describe: {@code get("resid_pre", -1)},
     * {@code get("q", 3)}.
     *
     * @param shortName the short name without its layer
     * @param layer     the block, counted from the end if negative
     * @return the activation, as {@link #get(String)} returns it
     * @throws IllegalArgumentException if the model has no such block, or if the run did not keep the activation and it
     *     cannot be computed again
     */
    public Tensor get(String shortName, int layer) {
        return get(ActName.of(shortName, model.layerIndex(layer)));
    }

    /**
     * {@return whether the activation at a hook point was kept}
     *
     * @param name the whole name of the hook point
     */
    public boolean has(String name) {
        return activations.containsKey(name);
    }

    /**
     * {@return the whole names of the hook points whose activations were kept, in the order in which the run reached
     * them}
     */
    public List<String> names() {
        return new ArrayList<>(activations.keySet());
    }

    // ----------------------------------------------------------------------------------------------- slices and copies

    /**
     * Returns a cache with every kept activation on a device. Activations that lie there already share their memory
     * with this cache. The new cache computes nothing again from checkpoints.
     *
     * @param device where the activations go
     * @return the new cache, whose tensors belong to the innermost scope
     */
    public ActivationCache to(Device device) {
        return map((name, activation) -> activation.to(device));
    }

    /**
     * Returns a cache with every kept activation as a view without the batch dimension; at the norms of queries and
     * keys, where rows, positions and heads are one dimension, as it is. The new cache computes nothing again from
     * checkpoints.
     *
     * @return the new cache, whose tensors belong to the innermost scope
     * @throws IllegalStateException if the batch has more than one row
     */
    public ActivationCache removeBatchDim() {
        return map((name, activation) -> {
            if (batch != 1)
                throw new IllegalStateException("the batch has " + batch + " rows; only one of one can be removed");
            boolean rows = HookPoint.of(name)
                    .filter(point -> point.axes().getFirst() == HookPoint.Axis.HEAD_ROW)
                    .isPresent();
            return rows ? activation.alias() : activation.select(0, 0);
        });
    }

    /**
     * Returns a cache with a range of positions of every kept activation, as views. Attention scores and patterns are
     * cut along the query positions. The new cache computes nothing again from checkpoints.
     *
     * @param start the first position, from 0
     * @param end   the position after the last
     * @return the new cache, whose tensors belong to the innermost scope
     * @throws IllegalArgumentException if {@code start} is negative or {@code end} is not greater than {@code start}
     */
    public ActivationCache slicePositions(long start, long end) {
        if (start < 0 || end <= start)
            throw new IllegalArgumentException("positions from " + start + " to " + end + " are none");
        return map(
                (name, activation) -> positions(activation, HookPoint.of(name).orElseThrow(), start, end));
    }

    /**
     * Returns a range of positions of an activation as a view; a copy at the norms of queries and keys, where rows,
     * positions and heads are one dimension.
     *
     * @param end the position after the last, which may be beyond the end
     */
    Tensor positions(Tensor activation, HookPoint point, long start, long end) {
        boolean rows = point.axes().getFirst() == HookPoint.Axis.HEAD_ROW;
        Tensor whole =
                rows ? activation.reshape(batch, -1, point.heads(model.config()), activation.size(1)) : activation;
        int dimension = rows ? 1 : point.dimension(HookPoint.Axis.POS);
        Tensor kept = whole.slice(dimension, start, Math.min(end, whole.size(dimension)));
        return rows ? kept.reshape(-1, activation.size(1)) : kept;
    }

    private interface Change {
        Tensor apply(String name, Tensor activation);
    }

    private ActivationCache map(Change change) {
        ActivationCache changed = new ActivationCache(model, batch);
        activations.forEach((name, activation) -> changed.put(name, change.apply(name, activation)));
        return changed;
    }

    // ------------------------------------------------------------------------------------------------- decompositions

    int layerOrEnd(int layer) {
        if (layer < -1 || layer > model.config().nLayers())
            throw new IllegalArgumentException("layer " + layer + " is outside the model's "
                    + model.config().nLayers() + " layers");
        return layer < 0 ? model.config().nLayers() : layer;
    }

    /** Collects components and their labels. */
    private static final class Parts {
        private final List<Tensor> tensors = new ArrayList<>();
        private final List<String> labels = new ArrayList<>();

        void add(String label, Tensor tensor) {
            labels.add(label);
            tensors.add(tensor.unsqueeze(0));
        }

        /**
         * Adds several components at once.
         *
         * @param more  the labels
         * @param stack the components, [component, ...]
         */
        void addAll(List<String> more, Tensor stack) {
            labels.addAll(more);
            tensors.add(stack);
        }
    }

    private interface Gathering {
        void into(Parts parts);
    }

    /**
     * Stacks the components that are gathered.
     *
     * @param position the only position that is gathered; null if all positions are
     */
    private ResidualStack stack(Integer position, Gathering gathering) {
        try (var _ = TensorScope.open()) {
            Parts parts = new Parts();
            gathering.into(parts);
            if (parts.tensors.isEmpty()) throw new IllegalArgumentException("there are no components before layer 0");
            Tensor values = Tensor.cat(0, parts.tensors.toArray(Tensor[]::new));
            return new ResidualStack(
                    this, (position == null ? values : values.select(2, 0)).promote(), parts.labels, position);
        }
    }

    /**
     * Returns an activation [batch, pos, ...] at one position, which stays as a dimension of size 1; the whole
     * activation if the position is null.
     */
    private Tensor at(String name, Integer position) {
        return position == null ? get(name) : get(name).slice(1, position, position + 1L);
    }

    /**
     * Splits the residual stream that enters a block into the outputs that were added to it: the embeddings, and the
     * outputs of attention and of the MLP of each earlier block. Biases are part of these outputs. Needs hook_embed and
     * hook_pos_embed if the embeddings are included, of which models that rotate queries and keys have the first only;
     * hook_attn_out and hook_mlp_out of the earlier blocks as far as {@code mode} includes them; and hook_attn_out of
     * the block itself for the input of its MLP.
     *
     * @param layer      the block; -1 or n_layers for the end of the model
     * @param input      the input of the block that is split; that of the MLP contains the block's attention too, if
     *     the block is not parallel
     * @param mode       which outputs of the blocks are components
     * @param inclEmbeds true to include the embeddings as the first components
     * @return the components, labelled {@code embed}, {@code pos_embed}, {@code 0_attn_out}, {@code 0_mlp_out} and so
     *     on, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model, has no MLP where {@code input} names it, or
     *     leaves no component; or if a needed activation is not in the cache
     */
    public ResidualStack decomposeResid(int layer, BlockInput input, Mode mode, boolean inclEmbeds) {
        int end = mlpOrEnd(layer, input);
        return stack(null, parts -> {
            if (inclEmbeds) {
                parts.add("embed", get("hook_embed"));
                if (hasPositions()) parts.add("pos_embed", get("hook_pos_embed"));
            }
            for (int l = 0; l < end; l++) {
                if (mode != Mode.MLP) parts.add(l + "_attn_out", get("blocks." + l + ".hook_attn_out"));
                if (mode != Mode.ATTN) parts.add(l + "_mlp_out", get("blocks." + l + ".hook_mlp_out"));
            }
            if (isMiddle(input) && mode != Mode.MLP)
                parts.add(end + "_attn_out", get("blocks." + end + ".hook_attn_out"));
        });
    }

    /**
     * Stacks the residual stream as it enters each block up to a layer, that layer included. Needs hook_resid_pre of
     * these blocks, hook_resid_mid for the states before their MLPs, and hook_resid_post of the last block for the end
     * of the model. Parallel blocks have one state only, which attention and MLP both read.
     *
     * @param layer   the last block; -1 or n_layers for the end of the model
     * @param inclMid true to include the stream before the MLP of each earlier block, where that is another one
     * @param input   the input of the last block at which the stack ends; {@link BlockInput#MLP} adds the stream before
     *     its MLP, where that is another one
     * @return the states, labelled {@code 0_pre}, {@code 0_mid} and so on, {@code final_post} for the end of the model,
     *     in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or has no MLP where {@code input} names it; or
     *     if a needed activation is not in the cache
     */
    public ResidualStack accumulatedResid(int layer, boolean inclMid, BlockInput input) {
        int end = mlpOrEnd(layer, input);
        int layers = model.config().nLayers();
        return stack(null, parts -> {
            for (int l = 0; l <= end; l++) {
                if (l == layers) {
                    parts.add("final_post", get("blocks." + (layers - 1) + ".hook_resid_post"));
                    continue;
                }
                parts.add(l + "_pre", get("blocks." + l + ".hook_resid_pre"));
                if (inclMid && l < end && !model.config().parallel())
                    parts.add(l + "_mid", get("blocks." + l + ".hook_resid_mid"));
            }
            if (isMiddle(input)) parts.add(end + "_mid", get("blocks." + end + ".hook_resid_mid"));
        });
    }

    /**
     * Splits off what each head of the blocks before a layer added to the residual stream. Computed from attn.hook_z,
     * or taken from attn.hook_result where that was kept. Where a norm follows the output of attention, each head has
     * its share of the result with the scale of the run; ln1_post.hook_scale is then needed.
     *
     * @param layer         the block that the heads come before; -1 or n_layers for the end of the model
     * @param inclRemainder true to add the rest of the stream as one more component, {@code remainder}; needs
     *     hook_resid_post of the block before the layer
     * @return the components, labelled {@code L0H0} and so on, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or is 0, or if a needed activation is not in
     *     the cache
     */
    public ResidualStack stackHeadResults(int layer, boolean inclRemainder) {
        int end = layerOrEnd(layer);
        return stack(null, parts -> {
            for (int l = 0; l < end; l++) addHeads(parts, l, null);
            if (inclRemainder) addRemainder(parts, end, null);
        });
    }

    /**
     * Splits off what each neuron of the blocks before a layer added to the residual stream at one position:
     * mlp.hook_post times the neuron's row of W_out, in the order of layers and neurons. One position only, because
     * each layer takes d_mlp times the memory of a residual stream. Needs mlp.hook_post of the blocks and hook_embed,
     * and ln2_post.hook_scale where a norm follows the output of the MLP.
     *
     * @param layer         the block that the neurons come before; -1 or n_layers for the end of the model
     * @param inclRemainder true to add the rest of the stream as one more component, {@code remainder}; needs
     *     hook_resid_post of the block before the layer
     * @param position      the position, counted from the end if negative
     * @return the components, labelled {@code L0N0} and so on, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or is 0, if the position is outside the run,
     *     or if a needed activation is not in the cache
     */
    public ResidualStack stackNeuronResults(int layer, boolean inclRemainder, int position) {
        int end = layerOrEnd(layer);
        int index = index(position);
        return stack(index, parts -> {
            for (int l = 0; l < end; l++) addNeurons(parts, l, index);
            if (inclRemainder) addRemainder(parts, end, index);
        });
    }

    /**
     * Splits the residual stream that enters a block into heads, MLP outputs, embeddings and biases. Needs attn.hook_z
     * (or attn.hook_result) and hook_mlp_out of the blocks before, attn.hook_z of the block itself for the input of its
     * MLP, hook_embed, hook_pos_embed where the model has it, and ln1_post.hook_scale where a norm follows attention.
     *
     * @param layer the block; -1 or n_layers for the end of the model
     * @param input the input of the block that is split; that of the MLP contains the block's attention too, unless the
     *     block is parallel
     * @return the components, labelled {@code L0H0}, {@code 0_mlp_out}, {@code embed}, {@code pos_embed}, {@code bias}
     *     and so on, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or has no MLP where {@code input} names it; or
     *     if a needed activation is not in the cache
     */
    public ResidualStack fullResidDecomposition(int layer, BlockInput input) {
        return full(mlpOrEnd(layer, input), input, false, null);
    }

    /**
     * Splits the residual stream that enters a block, at one position, into heads, single neurons, embeddings and
     * biases. Needs attn.hook_z (or attn.hook_result) and mlp.hook_post of the blocks before, attn.hook_z of the block
     * itself for the input of its MLP, hook_embed, hook_pos_embed where the model has it, and ln1_post.hook_scale and
     * ln2_post.hook_scale where norms follow attention and MLP.
     *
     * @param layer    the block; -1 or n_layers for the end of the model
     * @param input    the input of the block that is split; that of the MLP contains the block's attention too, unless
     *     the block is parallel
     * @param position the position, counted from the end if negative
     * @return the components, labelled {@code L0H0}, {@code L0N0}, {@code embed}, {@code pos_embed}, {@code bias} and
     *     so on, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or has no MLP where {@code input} names it; if
     *     the position is outside the run; or if a needed activation is not in the cache
     */
    public ResidualStack fullResidDecompositionWithNeurons(int layer, BlockInput input, int position) {
        return full(mlpOrEnd(layer, input), input, true, index(position));
    }

    private ResidualStack full(int end, BlockInput input, boolean neurons, Integer position) {
        return stack(position, parts -> {
            int attentions = end + (isMiddle(input) ? 1 : 0);
            for (int l = 0; l < attentions; l++) addHeads(parts, l, position);
            for (int l = 0; l < end; l++) {
                if (neurons) addNeurons(parts, l, position);
                else parts.add(l + "_mlp_out", at("blocks." + l + ".hook_mlp_out", position));
            }
            Tensor embed = at("hook_embed", position);
            parts.add("embed", embed);
            if (hasPositions()) parts.add("pos_embed", at("hook_pos_embed", position));
            parts.add(
                    "bias",
                    model.config().norm().afterOutputs()
                            ? normalizedBiases(embed, attentions, position)
                            : embed.zerosLike().add(model.accumulatedBias(end, input, neurons)));
        });
    }

    /** Returns whether positions are part of the residual stream. */
    private boolean hasPositions() {
        return model.config().rotary() == null;
    }

    /** Returns whether an input lies between the attention and the MLP of a block, which are not parallel. */
    private boolean isMiddle(BlockInput input) {
        return input == BlockInput.MLP && !model.config().parallel();
    }

    /** Sums what the biases of attention added through the norms that follow them. MLPs with such norms have none. */
    private Tensor normalizedBiases(Tensor like, int attentions, Integer position) {
        Tensor sum = like.zerosLike();
        for (int l = 0; l < attentions; l++) {
            Tensor bias = model.weight("blocks." + l + ".attn.b_O");
            sum = sum.add(normalized(bias, "blocks." + l + ".ln1_post", position));
        }
        return sum;
    }

    /** Applies a norm with the scale of the run to a share of its input, [..., batch, pos, d_model] or [d_model]. */
    private Tensor normalized(Tensor share, String norm, Integer position) {
        return share.div(at(norm + ".hook_scale", position)).mul(model.weight(norm + ".w"));
    }

    /**
     * Returns the layer counted from the start. Refuses the MLP input at the end of the model, where no MLP follows.
     */
    private int mlpOrEnd(int layer, BlockInput input) {
        int end = layerOrEnd(layer);
        if (input == BlockInput.MLP && end == model.config().nLayers())
            throw new IllegalArgumentException("there is no MLP after the last block");
        return end;
    }

    /** Returns a position counted from the start. */
    private int index(int position) {
        int positions = (int) get("hook_embed").size(1);
        int index = position < 0 ? position + positions : position;
        if (index < 0 || index >= positions)
            throw new IllegalArgumentException(
                    "position " + position + " is outside the " + positions + " positions of the run");
        return index;
    }

    private void addHeads(Parts parts, int layer, Integer position) {
        String block = "blocks." + layer + ".attn.";
        int heads = model.config().nHeads();
        Tensor results; // [batch, pos, head, d_model]
        if (has(block + "hook_result")) {
            results = at(block + "hook_result", position);
        } else {
            Tensor z = at(block + "hook_z", position);
            Tensor weights = model.weight(block + "W_O");
            results = z.transpose(1, 2).matmul(weights).transpose(1, 2);
        }
        List<String> labels = new ArrayList<>();
        for (int head = 0; head < heads; head++) labels.add("L" + layer + "H" + head);
        results = results.transpose(1, 2).transpose(0, 1); // [head, batch, pos, d_model]
        parts.addAll(
                labels,
                model.config().norm().afterOutputs()
                        ? normalized(results, "blocks." + layer + ".ln1_post", position)
                        : results);
    }

    private void addNeurons(Parts parts, int layer, int position) {
        Tensor post = at("blocks." + layer + ".mlp.hook_post", position); // [batch, 1, d_mlp]
        Tensor results =
                post.unsqueeze(-1).mul(model.weight("blocks." + layer + ".mlp.W_out")); // [batch, 1, d_mlp, d_model]
        List<String> labels = new ArrayList<>();
        for (int neuron = 0; neuron < model.config().dMlp(); neuron++) labels.add("L" + layer + "N" + neuron);
        results = results.transpose(1, 2).transpose(0, 1); // [neuron, batch, 1, d_model]
        parts.addAll(
                labels,
                model.config().norm().afterOutputs()
                        ? normalized(results, "blocks." + layer + ".ln2_post", position)
                        : results);
    }

    private void addRemainder(Parts parts, int end, Integer position) {
        if (end == 0) throw new IllegalArgumentException("before the first block no head and no neuron has written");
        Tensor whole = at("blocks." + (end - 1) + ".hook_resid_post", position);
        for (Tensor some : List.copyOf(parts.tensors)) whole = whole.sub(some.sum(0, false));
        parts.add("remainder", whole);
    }

    /** {@return a description with the number of activations} */
    @Override
    public String toString() {
        return "ActivationCache(" + activations.size() + " activations)";
    }
}
