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
 * Activations that a run kept, by hook point name, in the order in which the run reached them. The tensors belong to
 * the scope that was innermost when the run began, and share memory with what flowed on: an edit in place shows in
 * both.
 *
 * <p>What it is made of: {@link #decomposeResid} and the other decompositions of the residual stream, under
 * TransformerLens's names. Each needs the activations that its Javadoc names, and its result belongs to the innermost
 * scope. Where a layer is asked for, -1 means the end of the model.
 */
public final class ActivationCache {
    /** Which layers' outputs are components. */
    public enum Mode {
        ALL,
        ATTN,
        MLP
    }

    private final HookedTransformer model;
    private final Map<String, Tensor> activations = new LinkedHashMap<>();
    private Function<String, Tensor> recompute = name -> null;

    ActivationCache(HookedTransformer model) {
        this.model = model;
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
     * The activation at a hook point. What was not kept is worked out anew if the run had {@link Forward#checkpoints};
     * it then belongs to the innermost scope, and is not kept now either. A short name will do too
     * ({@link ActName#of(String)}): {@code pre5}, {@code k6a}.
     *
     * @throws IllegalArgumentException if the run did not keep it
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
     * The same by a short name and a layer, counted from the end if negative: {@code get("resid_pre", -1)},
     * {@code get("q", 3)}.
     */
    public Tensor get(String shortName, int layer) {
        return get(ActName.of(shortName, model.layerIndex(layer)));
    }

    /** Whether it was kept. */
    public boolean has(String name) {
        return activations.containsKey(name);
    }

    /** The names of all that were kept, in order. */
    public List<String> names() {
        return new ArrayList<>(activations.keySet());
    }

    // ------------------------------------------------------------------------------------------------- slices and
    // copies

    /** The same on a device, in the innermost scope. */
    public ActivationCache to(Device device) {
        return map((name, activation) -> activation.to(device));
    }

    /**
     * The same without the batch dimension, in the innermost scope.
     *
     * @throws IllegalStateException if the batch is not of one
     */
    public ActivationCache removeBatchDim() {
        return map((name, activation) -> {
            if (activation.size(0) != 1)
                throw new IllegalStateException(
                        "the batch has " + activation.size(0) + " rows; only one of one can be removed");
            return activation.select(0, 0);
        });
    }

    /**
     * Positions from start (inclusive) to end (exclusive) of every activation, of queries where there are two; in the
     * innermost scope.
     */
    public ActivationCache slicePositions(long start, long end) {
        if (start < 0 || end <= start)
            throw new IllegalArgumentException("positions from " + start + " to " + end + " are none");
        return map((name, activation) ->
                activation.slice(HookPoint.of(name).orElseThrow().dimension(HookPoint.Axis.POS), start, end));
    }

    private interface Change {
        Tensor apply(String name, Tensor activation);
    }

    private ActivationCache map(Change change) {
        ActivationCache changed = new ActivationCache(model);
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

    /** Components as they are gathered. */
    private static final class Parts {
        private final List<Tensor> tensors = new ArrayList<>();
        private final List<String> labels = new ArrayList<>();

        void add(String label, Tensor tensor) {
            labels.add(label);
            tensors.add(tensor.unsqueeze(0));
        }

        /** Several at once, [component, ...]. */
        void addAll(List<String> more, Tensor stack) {
            labels.addAll(more);
            tensors.add(stack);
        }
    }

    private interface Gathering {
        void into(Parts parts);
    }

    /** {@code position} is the only one that was gathered, or null. */
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

    /** An activation [batch, pos, ...] at one position, which stays as a dimension, or at all. */
    private Tensor at(String name, Integer position) {
        return position == null ? get(name) : get(name).slice(1, position, position + 1L);
    }

    /**
     * The residual stream that comes into a block as the sum of what wrote to it: embeddings, and each layer's outputs.
     * Needs hook_embed, hook_pos_embed, and hook_attn_out and hook_mlp_out of the blocks before. Biases are part of the
     * outputs.
     *
     * @param input    of which input of the block; that of the MLP holds the block's attention too
     */
    public ResidualStack decomposeResid(int layer, BlockInput input, Mode mode, boolean inclEmbeds) {
        int end = mlpOrEnd(layer, input);
        return stack(null, parts -> {
            if (inclEmbeds) {
                parts.add("embed", get("hook_embed"));
                parts.add("pos_embed", get("hook_pos_embed"));
            }
            for (int l = 0; l < end; l++) {
                if (mode != Mode.MLP) parts.add(l + "_attn_out", get("blocks." + l + ".hook_attn_out"));
                if (mode != Mode.ATTN) parts.add(l + "_mlp_out", get("blocks." + l + ".hook_mlp_out"));
            }
            if (input == BlockInput.MLP && mode != Mode.MLP)
                parts.add(end + "_attn_out", get("blocks." + end + ".hook_attn_out"));
        });
    }

    /**
     * The residual stream as it comes into each block up to one, and there. Needs hook_resid_pre of the blocks
     * (hook_resid_mid, with those; hook_resid_post of the last).
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
                if (inclMid && l < end) parts.add(l + "_mid", get("blocks." + l + ".hook_resid_mid"));
            }
            if (input == BlockInput.MLP) parts.add(end + "_mid", get("blocks." + end + ".hook_resid_mid"));
        });
    }

    /**
     * What each head of the blocks before one added to the residual stream, worked out from attn.hook_z, or
     * attn.hook_result if that was kept.
     *
     * @param inclRemainder one more component, all the rest of the stream; needs hook_resid_post of the block before
     */
    public ResidualStack stackHeadResults(int layer, boolean inclRemainder) {
        int end = layerOrEnd(layer);
        return stack(null, parts -> {
            for (int l = 0; l < end; l++) addHeads(parts, l, null);
            if (inclRemainder) addRemainder(parts, end, null);
        });
    }

    /**
     * What each neuron of the blocks before one added, in the order of layers and neurons: mlp.hook_post times its row
     * of W_out. That is d_mlp times a residual stream for each layer, so for one position only, counted from the end if
     * negative. Needs hook_embed too.
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
     * The residual stream that comes into a block as the sum of heads, MLPs, embeddings and biases. Needs attn.hook_z
     * and hook_mlp_out of the blocks before, hook_embed and hook_pos_embed.
     *
     * @param input of which input of the block
     */
    public ResidualStack fullResidDecomposition(int layer, BlockInput input) {
        return full(mlpOrEnd(layer, input), input, false, null);
    }

    /**
     * The same with each neuron by itself, at one position, counted from the end if negative; needs mlp.hook_post
     * instead of hook_mlp_out.
     */
    public ResidualStack fullResidDecompositionWithNeurons(int layer, BlockInput input, int position) {
        return full(mlpOrEnd(layer, input), input, true, index(position));
    }

    private ResidualStack full(int end, BlockInput input, boolean neurons, Integer position) {
        return stack(position, parts -> {
            for (int l = 0; l < end + (input == BlockInput.MLP ? 1 : 0); l++) addHeads(parts, l, position);
            for (int l = 0; l < end; l++) {
                if (neurons) addNeurons(parts, l, position);
                else parts.add(l + "_mlp_out", at("blocks." + l + ".hook_mlp_out", position));
            }
            Tensor embed = at("hook_embed", position);
            parts.add("embed", embed);
            parts.add("pos_embed", at("hook_pos_embed", position));
            parts.add("bias", embed.zerosLike().add(model.accumulatedBias(end, input, neurons)));
        });
    }

    /** The MLP of a block, which the end of the model has none of. */
    private int mlpOrEnd(int layer, BlockInput input) {
        int end = layerOrEnd(layer);
        if (input == BlockInput.MLP && end == model.config().nLayers())
            throw new IllegalArgumentException("there is no MLP after the last block");
        return end;
    }

    /** A position counted from the start. */
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
        parts.addAll(labels, results.transpose(1, 2).transpose(0, 1)); // [head, batch, pos, d_model]
    }

    private void addNeurons(Parts parts, int layer, int position) {
        Tensor post = at("blocks." + layer + ".mlp.hook_post", position); // [batch, 1, d_mlp]
        Tensor results =
                post.unsqueeze(-1).mul(model.weight("blocks." + layer + ".mlp.W_out")); // [batch, 1, d_mlp, d_model]
        List<String> labels = new ArrayList<>();
        for (int neuron = 0; neuron < model.config().dMlp(); neuron++) labels.add("L" + layer + "N" + neuron);
        parts.addAll(labels, results.transpose(1, 2).transpose(0, 1));
    }

    private void addRemainder(Parts parts, int end, Integer position) {
        if (end == 0) throw new IllegalArgumentException("before the first block no head and no neuron has written");
        Tensor whole = at("blocks." + (end - 1) + ".hook_resid_post", position);
        for (Tensor some : List.copyOf(parts.tensors)) whole = whole.sub(some.sum(0, false));
        parts.add("remainder", whole);
    }

    /** How many activations it holds, of which model. */
    @Override
    public String toString() {
        return "ActivationCache(" + activations.size() + " activations of " + model.name() + ")";
    }
}
