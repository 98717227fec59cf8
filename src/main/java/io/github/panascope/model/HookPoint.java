package io.github.panascope.model;

import io.github.panascope.torch.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A place in a model where hooks are called, as TransformerLens names it: {@code blocks.8.hook_resid_pre},
 * {@code blocks.0.attn.hook_z}, {@code ln_final.hook_normalized}. What depends on the place, and not on what flows
 * there, is answered here.
 *
 * @param name  the whole name
 * @param block the block that it belongs to; {@link #BEFORE_BLOCKS} or {@link #AFTER_BLOCKS} for the others
 * @param part  the name within the block, such as {@code attn.hook_z}; outside of blocks the whole name
 * @param axes  what the dimensions of its activation are
 */
public record HookPoint(String name, int block, String part, List<Axis> axes) {
    /** The block of points before the first block: of the embeddings. */
    public static final int BEFORE_BLOCKS = -1;
    /** The block of points after the last block: of the last LayerNorm. */
    public static final int AFTER_BLOCKS = Integer.MAX_VALUE;

    /** What a dimension of an activation is. */
    public enum Axis {
        /** Rows of the batch. */
        BATCH,
        /** Positions; of queries where there are two. */
        POS,
        /** Positions that are attended to. */
        KEY_POS,
        /** Attention heads. */
        HEAD,
        /** What a head reads or writes inside. */
        D_HEAD,
        /** The width of the residual stream. */
        D_MODEL,
        /** Neurons of an MLP. */
        D_MLP,
        /** Features of what is attached, such as an SAE. */
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

    /** The points of a block that a run always reaches, in its order. */
    private static final List<String> ALWAYS = List.of(
            "hook_resid_pre",
            "ln1.hook_scale",
            "ln1.hook_normalized",
            "attn.hook_q",
            "attn.hook_k",
            "attn.hook_v",
            "attn.hook_attn_scores",
            "attn.hook_pattern",
            "attn.hook_z",
            "hook_attn_out",
            "hook_resid_mid",
            "ln2.hook_scale",
            "ln2.hook_normalized",
            "mlp.hook_pre",
            "mlp.hook_post",
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

    /** The axes of those points of a block that are not the residual stream's. */
    private static final Map<String, List<Axis>> AXES = Map.ofEntries(
            Map.entry("ln1.hook_scale", SCALE),
            Map.entry("ln2.hook_scale", SCALE),
            Map.entry("attn.hook_q", HEADS),
            Map.entry("attn.hook_k", HEADS),
            Map.entry("attn.hook_v", HEADS),
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
    /** A point of the model, and one of what is attached there. */
    private static final Pattern ATTACHED = Pattern.compile("(.+)\\.([A-Za-z_]\\w*)");

    /** Copies the axes. */
    public HookPoint {
        axes = List.copyOf(axes);
    }

    private static HookPoint outside(String name, int block, List<Axis> axes) {
        return new HookPoint(name, block, name, axes);
    }

    /**
     * The hook point of a name, of a model of any number of blocks; one of what is attached to a point, such as an
     * SAE, is named after that point and belongs to its block.
     *
     * @return empty if no model has a point of that name
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

    /** A point of what is attached here; inside an SAE the heads of q, k, v and z lie side by side. */
    private HookPoint inside(String whole, String inner) {
        boolean flat = axes.equals(HEADS) && (inner.equals("hook_sae_input") || inner.equals("hook_sae_recons"));
        List<Axis> there = inner.startsWith("hook_sae_acts_") ? FEATURES : flat ? STREAM : axes;
        return new HookPoint(whole, block, part + "." + inner, there);
    }

    private static HookPoint known(String name) {
        return of(name).orElseThrow(() -> new IllegalStateException(name));
    }

    /** All hook points that a run always reaches, in its order: 17 a block and 4 more. */
    public static List<HookPoint> all(TransformerConfig config) {
        List<HookPoint> points = new ArrayList<>(List.of(known("hook_embed"), known("hook_pos_embed")));
        for (int block = 0; block < config.nLayers(); block++)
            for (String part : ALWAYS) points.add(known("blocks." + block + "." + part));
        points.addAll(List.of(known("ln_final.hook_scale"), known("ln_final.hook_normalized")));
        return List.copyOf(points);
    }

    /**
     * The hook points that a run reaches only if they are asked for by name, since they cost time and memory: inputs of
     * the heads ({@code hook_q_input}, {@code hook_k_input}, {@code hook_v_input}, and before these
     * {@code hook_attn_in}) and each head's own result, all [batch, pos, head, d_model]; the MLP's copy of
     * {@code hook_resid_mid}, {@code hook_mlp_in}; {@code mlp.hook_in}, what it reads after LayerNorm; and
     * {@code hook_tokens}, the ids. TransformerLens has switches for them ({@code use_attn_result} and others).
     */
    public static List<HookPoint> onRequest(TransformerConfig config) {
        List<HookPoint> points = new ArrayList<>(List.of(known("hook_tokens")));
        for (int block = 0; block < config.nLayers(); block++)
            for (String part : ON_REQUEST) points.add(known("blocks." + block + "." + part));
        return List.copyOf(points);
    }

    /** Whether it lies in a block. */
    public boolean isInBlock() {
        return block >= 0 && block != AFTER_BLOCKS;
    }

    /**
     * The block that it belongs to, as TransformerLens's {@code hook.layer()}.
     *
     * @throws IllegalStateException if it belongs to none
     */
    public int layer() {
        if (!isInBlock()) throw new IllegalStateException(name + " belongs to no layer");
        return block;
    }

    /** Whether its activation has a dimension of heads. */
    public boolean hasHeads() {
        return axes.contains(Axis.HEAD);
    }

    /** Whether the last dimension is one of positions, so that its size is not the model's. */
    public boolean endsInPositions() {
        return axes.getLast() == Axis.KEY_POS || axes.getLast() == Axis.POS;
    }

    /**
     * Which dimension an axis is, counted from the end and so negative: it holds without the batch dimension too.
     *
     * @throws IllegalArgumentException if there is no such dimension here
     */
    public int dimension(Axis axis) {
        int index = axes.indexOf(axis);
        if (index < 0) throw new IllegalArgumentException(name + " has no dimension " + axis);
        return index - axes.size();
    }

    /**
     * Whether all that follows comes from what passes here: from the residual stream, and from what is unembedded.
     */
    public boolean isBottleneck() {
        return part.matches("hook_resid_(pre|mid|post)|ln_final\\.hook_normalized");
    }

    /**
     * Whether what is here is in the residual stream's own coordinates: part of it, or read from it or written to it as
     * it is.
     */
    public boolean isInStream() {
        return part.matches("hook_((pos_)?embed|resid_(pre|mid|post)|attn_out|mlp_out|mlp_in|attn_in)");
    }

    /**
     * The weight through which what is here gets into the residual stream: {@code W_out} of neurons, {@code W_O} of
     * what heads have gathered.
     *
     * @return empty where there is none: in the stream itself, and where it takes more than a product
     */
    public Optional<String> outputWeight() {
        return switch (part) {
            case "mlp.hook_pre", "mlp.hook_post" -> Optional.of("blocks." + block + ".mlp.W_out");
            case "attn.hook_z" -> Optional.of("blocks." + block + ".attn.W_O");
            default -> Optional.empty();
        };
    }

    /**
     * The shape of the activation.
     *
     * @param batch     rows of the run
     * @param positions tokens in a row
     * @throws IllegalArgumentException if it is not the model's to say: inside an SAE
     */
    public Shape shape(TransformerConfig config, long batch, long positions) {
        return Shape.of(axes.stream()
                .mapToLong(axis -> switch (axis) {
                    case BATCH -> batch;
                    case POS, KEY_POS -> positions;
                    case HEAD -> config.nHeads();
                    case D_HEAD -> config.dHead();
                    case D_MODEL -> config.dModel();
                    case D_MLP -> config.dMlp();
                    case ONE -> 1;
                    case FEATURE -> throw new IllegalArgumentException("the width of " + name + " is the SAE's");
                })
                .toArray());
    }

    /**
     * The size of the last dimension, with the heads of q, k, v and z laid side by side as one; -1 where it is one of
     * positions, or 1, or an SAE's.
     */
    public int width(TransformerConfig config) {
        return switch (axes.getLast()) {
            case D_HEAD, D_MODEL -> config.dModel();
            case D_MLP -> config.dMlp();
            default -> -1;
        };
    }

    /** Its name. */
    @Override
    public String toString() {
        return name;
    }
}
