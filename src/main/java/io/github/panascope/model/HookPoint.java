package io.github.panascope.model;

import io.github.panascope.torch.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A place in a model at which hooks are called, under its name in TransformerLens: {@code blocks.8.hook_resid_pre},
 * {@code blocks.0.attn.hook_z}, {@code ln_final.hook_normalized}. The methods answer what follows from the place alone,
 * without the activation.
 *
 * <pre>{@code
 * HookPoint point = HookPoint.of("blocks.8.attn.hook_z").orElseThrow();
 * System.out.println(point.layer() + " " + point.axes()); // 8 [BATCH, POS, HEAD, D_HEAD]
 * var gpt2 = TransformerConfig.gpt2(12, 768, 12, 3072, 50257, 1024, 1e-5, false, true);
 * System.out.println(point.shape(gpt2, 4, 100)); // [4, 100, 12, 64]
 * System.out.println(point.outputWeight(gpt2).orElseThrow()); // blocks.8.attn.W_O
 * System.out.println(HookPoint.all(gpt2).size()); // 208
 * }</pre>
 *
 * @param name  full name
 * @param block index of the block that the point belongs to; {@link #BEFORE_BLOCKS} or {@link #AFTER_BLOCKS} for a
 *     point outside of blocks
 * @param part  name within the block, such as {@code attn.hook_z}; the full name for a point outside of blocks
 * @param axes  meaning of each dimension of the activation
 */
public record HookPoint(String name, int block, String part, List<Axis> axes) {
    /** The block of points before the first block, which are those of tokens and embeddings. */
    public static final int BEFORE_BLOCKS = -1;
    /** The block of points after the last block, which are those of the final LayerNorm. */
    public static final int AFTER_BLOCKS = Integer.MAX_VALUE;

    /** The meaning of a dimension of an activation. */
    public enum Axis {
        /** Rows of the batch. */
        BATCH,
        /** Positions in a row; positions of queries where there are two axes of positions. */
        POS,
        /** Positions of keys, which are attended to. */
        KEY_POS,
        /** Attention heads: at keys and values their own heads, which several query heads may share. */
        HEAD,
        /** Rows, positions and heads as one dimension. */
        HEAD_ROW,
        /** Components of the query, key, value or z of one attention head. */
        D_HEAD,
        /** Components of the residual stream. */
        D_MODEL,
        /** Neurons of an MLP. */
        D_MLP,
        /** Features of an attached module, such as an SAE. */
        FEATURE,
        /** A dimension of size 1. */
        ONE
    }

    private static final List<Axis> STREAM = List.of(Axis.BATCH, Axis.POS, Axis.D_MODEL);
    private static final List<Axis> SCALE = List.of(Axis.BATCH, Axis.POS, Axis.ONE);
    private static final List<Axis> HEADS = List.of(Axis.BATCH, Axis.POS, Axis.HEAD, Axis.D_HEAD);
    private static final List<Axis> WIDE_HEADS = List.of(Axis.BATCH, Axis.POS, Axis.HEAD, Axis.D_MODEL);
    private static final List<Axis> SCORES = List.of(Axis.BATCH, Axis.HEAD, Axis.POS, Axis.KEY_POS);
    private static final List<Axis> NEURONS = List.of(Axis.BATCH, Axis.POS, Axis.D_MLP);
    private static final List<Axis> FEATURES = List.of(Axis.BATCH, Axis.POS, Axis.FEATURE);

    /** The points of a block that every run of some model reaches, in the order of the run. */
    private static final List<String> ALWAYS = List.of(
            "hook_resid_pre",
            "ln1.hook_scale",
            "ln1.hook_normalized",
            "attn.hook_q",
            "attn.hook_k",
            "attn.hook_v",
            "attn.q_norm.hook_scale",
            "attn.q_norm.hook_normalized",
            "attn.k_norm.hook_scale",
            "attn.k_norm.hook_normalized",
            "attn.hook_rot_q",
            "attn.hook_rot_k",
            "attn.hook_attn_scores",
            "attn.hook_pattern",
            "attn.hook_z",
            "ln1_post.hook_scale",
            "ln1_post.hook_normalized",
            "hook_attn_out",
            "hook_resid_mid",
            "ln2.hook_scale",
            "ln2.hook_normalized",
            "mlp.hook_pre",
            "mlp.hook_pre_linear",
            "mlp.hook_post",
            "ln2_post.hook_scale",
            "ln2_post.hook_normalized",
            "hook_mlp_out",
            "hook_resid_post");

    private static final List<String> ON_REQUEST = List.of(
            "hook_attn_in",
            "hook_q_input",
            "hook_k_input",
            "hook_v_input",
            "attn.hook_result",
            "hook_mlp_in",
            "mlp.hook_in");

    /** The axes of the points of a block whose activation does not have the shape of the residual stream. */
    private static final Map<String, List<Axis>> AXES = Map.ofEntries(
            Map.entry("ln1.hook_scale", SCALE),
            Map.entry("ln2.hook_scale", SCALE),
            Map.entry("attn.hook_q", HEADS),
            Map.entry("ln1_post.hook_scale", SCALE),
            Map.entry("ln2_post.hook_scale", SCALE),
            Map.entry("attn.hook_k", HEADS),
            Map.entry("attn.hook_v", HEADS),
            Map.entry("attn.q_norm.hook_scale", List.of(Axis.HEAD_ROW, Axis.ONE)),
            Map.entry("attn.q_norm.hook_normalized", List.of(Axis.HEAD_ROW, Axis.D_HEAD)),
            Map.entry("attn.k_norm.hook_scale", List.of(Axis.HEAD_ROW, Axis.ONE)),
            Map.entry("attn.k_norm.hook_normalized", List.of(Axis.HEAD_ROW, Axis.D_HEAD)),
            Map.entry("attn.hook_rot_q", HEADS),
            Map.entry("attn.hook_rot_k", HEADS),
            Map.entry("mlp.hook_pre_linear", NEURONS),
            Map.entry("attn.hook_z", HEADS),
            Map.entry("attn.hook_attn_scores", SCORES),
            Map.entry("attn.hook_pattern", SCORES),
            Map.entry("mlp.hook_pre", NEURONS),
            Map.entry("mlp.hook_post", NEURONS),
            Map.entry("hook_attn_in", WIDE_HEADS),
            Map.entry("hook_q_input", WIDE_HEADS),
            Map.entry("hook_k_input", WIDE_HEADS),
            Map.entry("hook_v_input", WIDE_HEADS),
            Map.entry("attn.hook_result", WIDE_HEADS));

    /** The points outside of blocks. */
    private static final Map<String, HookPoint> OUTSIDE = Map.of(
            "hook_tokens", outside("hook_tokens", BEFORE_BLOCKS, List.of(Axis.BATCH, Axis.POS)),
            "hook_embed", outside("hook_embed", BEFORE_BLOCKS, STREAM),
            "hook_pos_embed", outside("hook_pos_embed", BEFORE_BLOCKS, STREAM),
            "ln_final.hook_scale", outside("ln_final.hook_scale", AFTER_BLOCKS, SCALE),
            "ln_final.hook_normalized", outside("ln_final.hook_normalized", AFTER_BLOCKS, STREAM));

    private static final Pattern IN_BLOCK = Pattern.compile("blocks\\.(\\d{1,6})\\.(.+)");
    /** A point of the model, followed by a point of a module that is attached there. */
    private static final Pattern ATTACHED = Pattern.compile("(.+)\\.([A-Za-z_]\\w*)");

    /** Creates a hook point with a copy of the axes. */
    public HookPoint {
        axes = List.copyOf(axes);
    }

    private static HookPoint outside(String name, int block, List<Axis> axes) {
        return new HookPoint(name, block, name, axes);
    }

    /**
     * Returns the hook point of a name, for models with any number of blocks. A point of an attached module, such as an
     * SAE, has the name of the point where it is attached as a prefix, and belongs to the same block.
     *
     * @param name full name
     * @return the hook point; empty if no model has a point of that name
     */
    public static Optional<HookPoint> of(String name) {
        Optional<HookPoint> own = ofModel(name);
        if (own.isPresent()) return own;
        Matcher attached = ATTACHED.matcher(name);
        return attached.matches()
                ? ofModel(attached.group(1)).map(point -> point.inside(name, attached.group(2)))
                : Optional.empty();
    }

    private static Optional<HookPoint> ofModel(String name) {
        Matcher inBlock = IN_BLOCK.matcher(name);
        if (!inBlock.matches()) return Optional.ofNullable(OUTSIDE.get(name));
        String part = inBlock.group(2);
        if (!ALWAYS.contains(part) && !ON_REQUEST.contains(part)) return Optional.empty();
        return Optional.of(
                new HookPoint(name, Integer.parseInt(inBlock.group(1)), part, AXES.getOrDefault(part, STREAM)));
    }

    /**
     * Returns a point of a module that is attached here. Inside an SAE the heads of q, k, v and z are one dimension.
     */
    private HookPoint inside(String whole, String inner) {
        boolean flat = hasHeads()
                && axes.getLast() == Axis.D_HEAD
                && (inner.equals("hook_sae_input") || inner.equals("hook_sae_recons"));
        List<Axis> there = inner.startsWith("hook_sae_acts_") ? FEATURES : flat ? STREAM : axes;
        return new HookPoint(whole, block, part + "." + inner, there);
    }

    private static HookPoint known(String name) {
        return of(name).orElseThrow(() -> new IllegalStateException(name));
    }

    /**
     * Returns all hook points that every run of a model reaches, in the order of the run: for GPT-2, 17 per block and 4
     * more.
     *
     * @param config the description of the model
     * @return the hook points; unmodifiable
     */
    public static List<HookPoint> all(TransformerConfig config) {
        List<HookPoint> points = new ArrayList<>(List.of(known("hook_embed")));
        if (config.rotary() == null) points.add(known("hook_pos_embed"));
        List<String> parts =
                ALWAYS.stream().filter(part -> isReached(part, config)).toList();
        for (int block = 0; block < config.nLayers(); block++)
            for (String part : parts) points.add(known("blocks." + block + "." + part));
        points.addAll(List.of(known("ln_final.hook_scale"), known("ln_final.hook_normalized")));
        return List.copyOf(points);
    }

    /** Returns whether the blocks of a model have a part. */
    private static boolean isReached(String part, TransformerConfig config) {
        return switch (part.substring(0, part.lastIndexOf('.') + 1)) {
            case "attn.q_norm.", "attn.k_norm." -> config.attention().queryKeyNorm();
            case "ln1_post.", "ln2_post." -> config.norm().afterOutputs();
            default ->
                switch (part) {
                    case "attn.hook_rot_q", "attn.hook_rot_k" -> config.rotary() != null;
                    case "hook_resid_mid" -> !config.parallel();
                    case "mlp.hook_pre_linear" -> config.mlp().gated();
                    default -> true;
                };
        };
    }

    /**
     * Returns the hook points that a run reaches only if they are asked for by name, since they cost time and memory:
     *
     * <ul>
     * <li>{@code hook_tokens}, the token ids
     * <li>the inputs of each head, {@code hook_q_input}, {@code hook_k_input} and {@code hook_v_input},
     * {@code hook_attn_in} before these, and the result of each head, {@code attn.hook_result}: all [batch, pos, head,
     * d_model]. Where query heads share keys and values, hook_k_input and hook_v_input have one entry for each head of
     * keys; under a hook at hook_attn_in each query head computes keys and values of its own
     * <li>{@code hook_mlp_in}, the MLP's copy of {@code hook_resid_mid}
     * <li>{@code mlp.hook_in}, the input of the MLP after LayerNorm
     * </ul>
     *
     * TransformerLens has switches for them ({@code use_attn_result} and others).
     *
     * @param config sizes of the model
     * @return the hook points; unmodifiable
     */
    public static List<HookPoint> onRequest(TransformerConfig config) {
        List<HookPoint> points = new ArrayList<>(List.of(known("hook_tokens")));
        for (int block = 0; block < config.nLayers(); block++)
            for (String part : ON_REQUEST) points.add(known("blocks." + block + "." + part));
        return List.copyOf(points);
    }

    /** {@return whether the point lies in a block} */
    public boolean isInBlock() {
        return block >= 0 && block != AFTER_BLOCKS;
    }

    /**
     * Returns the index of the block that the point belongs to, as TransformerLens's {@code hook.layer()}.
     *
     * @return index of the block, from 0
     * @throws IllegalStateException if the point belongs to no block
     */
    public int layer() {
        if (!isInBlock()) throw new IllegalStateException(name + " belongs to no layer");
        return block;
    }

    /** {@return whether the activation has a dimension of attention heads} */
    public boolean hasHeads() {
        return axes.contains(Axis.HEAD);
    }

    /** {@return whether the last dimension is one of positions, so that its size does not depend on the model} */
    public boolean endsInPositions() {
        return axes.getLast() == Axis.KEY_POS || axes.getLast() == Axis.POS;
    }

    /**
     * Returns the index of a dimension, counted from the end, so that it also holds without the batch dimension.
     *
     * @param axis meaning of the dimension
     * @return a negative index; -1 is the last dimension
     * @throws IllegalArgumentException if the activation has no such dimension
     */
    public int dimension(Axis axis) {
        int index = axes.indexOf(axis);
        if (index < 0 && axes.contains(Axis.HEAD_ROW))
            throw new IllegalArgumentException(
                    name + " has rows, positions and heads as one dimension: it has no dimension " + axis);
        if (index < 0) throw new IllegalArgumentException(name + " has no dimension " + axis);
        return index - axes.size();
    }

    /**
     * Returns whether all later activations depend on the tokens only through the activation of this point. This holds
     * for the residual stream and for the input of the unembedding.
     *
     * @return true for {@code hook_resid_pre}, {@code hook_resid_mid}, {@code hook_resid_post} and
     *     {@code ln_final.hook_normalized}
     */
    public boolean isBottleneck() {
        return part.matches("hook_resid_(pre|mid|post)|ln_final\\.hook_normalized");
    }

    /**
     * Returns whether the activation is in the coordinates of the residual stream: part of it, read from it unchanged,
     * or added to it unchanged.
     *
     * @return true for the embeddings, {@code hook_resid_pre}, {@code hook_resid_mid}, {@code hook_resid_post},
     *     {@code hook_attn_out}, {@code hook_mlp_out}, {@code hook_mlp_in} and {@code hook_attn_in}
     */
    public boolean isInStream() {
        return part.matches("hook_((pos_)?embed|resid_(pre|mid|post)|attn_out|mlp_out|mlp_in|attn_in)");
    }

    /**
     * Returns the name of the weight that maps the components of the activation to directions in the residual stream:
     * {@code W_out} for neurons, {@code W_O} for {@code attn.hook_z}. Before the activation function neurons have their
     * directions only if the MLP is not gated: a gate decides the sign of what a neuron adds.
     *
     * @param config the description of the model
     * @return full name of the weight; empty for points in the residual stream itself, and where components have no
     *     direction there
     */
    public Optional<String> outputWeight(TransformerConfig config) {
        return switch (part) {
            case "mlp.hook_pre" ->
                config.mlp().gated() ? Optional.empty() : Optional.of("blocks." + block + ".mlp.W_out");
            case "mlp.hook_post" -> Optional.of("blocks." + block + ".mlp.W_out");
            case "attn.hook_z" -> Optional.of("blocks." + block + ".attn.W_O");
            default -> Optional.empty();
        };
    }

    /**
     * Returns the name of the weight of the RMSNorm between {@link #outputWeight} and the residual stream, as Gemma 2
     * and 3 have it. It divides by a positive number that depends on the whole activation, and multiplies by this
     * weight, so that a direction in the stream is known up to a positive factor.
     *
     * @param config the description of the model
     * @return full name of the weight [d_model]; empty if there is no such norm, or no output weight
     */
    public Optional<String> outputNorm(TransformerConfig config) {
        if (!config.norm().afterOutputs()) return Optional.empty();
        return outputWeight(config)
                .map(_ -> "blocks." + block + (part.startsWith("attn.") ? ".ln1_post.w" : ".ln2_post.w"));
    }

    /**
     * Returns the shape of the activation.
     *
     * @param config    sizes of the model
     * @param batch     number of rows of the run
     * @param positions number of tokens in a row
     * @return the shape
     * @throws IllegalArgumentException if a dimension is that of an SAE's features, whose number the model does not
     *     determine
     */
    public Shape shape(TransformerConfig config, long batch, long positions) {
        return Shape.of(axes.stream()
                .mapToLong(axis -> switch (axis) {
                    case BATCH -> batch;
                    case POS, KEY_POS -> positions;
                    case HEAD -> heads(config);
                    case HEAD_ROW -> batch * positions * heads(config);
                    case D_HEAD -> config.dHead();
                    case D_MODEL -> config.dModel();
                    case D_MLP -> config.dMlp();
                    case ONE -> 1;
                    case FEATURE -> throw new IllegalArgumentException("the width of " + name + " is the SAE's");
                })
                .toArray());
    }

    /**
     * Returns the number of heads of this point: keys and values may have fewer than queries.
     *
     * @param config sizes of the model
     * @return the number of heads, that of queries for a point without heads
     */
    public int heads(TransformerConfig config) {
        return part.matches("attn\\.(hook_(k|v|rot_k)|k_norm\\..*)|hook_[kv]_input")
                ? config.nKeyValueHeads()
                : config.nHeads();
    }

    /**
     * Returns the size of the last dimension, where the heads of q, k, v and z count as one dimension.
     *
     * @param config sizes of the model
     * @return the size; -1 where the last dimension is one of positions, of size 1, or of an SAE's features
     */
    public int width(TransformerConfig config) {
        return switch (axes.getLast()) {
            case D_HEAD -> (hasHeads() ? heads(config) : 1) * config.dHead();
            case D_MODEL -> config.dModel();
            case D_MLP -> config.dMlp();
            default -> -1;
        };
    }

    /** {@return the full name} */
    @Override
    public String toString() {
        return name;
    }
}
