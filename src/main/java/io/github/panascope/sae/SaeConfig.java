package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What an SAE is, from the {@code cfg.json} of SAELens 2 to 6.
 *
 * @param architecture             which formulas it follows
 * @param dIn                      width of what it reads
 * @param dSae                     number of features
 * @param dOut                     width of what it writes: d_in, but for transcoders
 * @param k                        features that a topk SAE keeps of each position; 0 for others
 * @param rescaleActsByDecoderNorm whether a topk SAE chooses by activation times ‖W_dec‖
 * @param applyBDecToInput         whether b_dec is subtracted from the input
 * @param normalization            what is done to activations around it
 * @param reshapeHookZ             whether its input is attn.hook_z, heads side by side
 * @param metadata                 where it belongs
 */
public record SaeConfig(
        Architecture architecture,
        int dIn,
        int dSae,
        int dOut,
        int k,
        boolean rescaleActsByDecoderNorm,
        boolean applyBDecToInput,
        Normalization normalization,
        boolean reshapeHookZ,
        Metadata metadata) {
    /**
     * Where an SAE belongs.
     *
     * @param hookName      the hook point that it reads
     * @param hookNameOut   the hook point that a transcoder writes; the same for an SAE
     * @param modelName     the TransformerLens name of its model; null if unknown
     * @param contextSize   tokens in a row of its training; 0 if unknown
     * @param prependBos    whether rows began with {@code <|endoftext|>}
     * @param neuronpediaId such as {@code gpt2-small/8-res-jb}; null if it has no page
     * @param modelKwargs   arguments of TransformerLens's from_pretrained that its authors ask for
     * @param other         what else SAELens keeps of it, as JSON texts by key; nothing here depends on it
     */
    public record Metadata(
            String hookName,
            String hookNameOut,
            @Nullable String modelName,
            int contextSize,
            boolean prependBos,
            @Nullable String neuronpediaId,
            ModelKwargs modelKwargs,
            Map<String, String> other) {
        /** Copies the map. */
        public Metadata {
            other = Map.copyOf(other);
        }
    }

    /** With NaN and Infinity as Python reads and writes them. */
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
            .build();

    private static final Set<String> TOP = Set.of(
            "architecture",
            "d_in",
            "d_sae",
            "d_out",
            "k",
            "rescale_acts_by_decoder_norm",
            "dtype",
            "device",
            "apply_b_dec_to_input",
            "normalize_activations",
            "reshape_activations",
            "metadata",
            "activation_fn",
            "activation_fn_str",
            "activation_fn_kwargs",
            "finetuning_scaling_factor");
    /** In `metadata` since SAELens 6, at the top before. */
    private static final Set<String> METADATA = Set.of(
            "hook_name",
            "hook_point",
            "hook_head_index",
            "hook_point_head_index",
            "hook_name_out",
            "model_name",
            "context_size",
            "prepend_bos",
            "neuronpedia_id",
            "model_from_pretrained_kwargs");
    /** What SAELens 6 keeps in `metadata` besides; kept when an SAE is saved. */
    private static final Set<String> KEPT = Set.of(
            "model_class_name",
            "exclude_special_tokens",
            "seqpos_slice",
            "dataset_path",
            "sae_lens_version",
            "sae_lens_training_version",
            "hook_head_index_out",
            "hf_hook_name",
            "hf_hook_name_out");
    /** Written by SAELens's trainers, of no meaning for inference; here so that none is taken for a misspelling. */
    private static final Set<String> TRAINING = Set.of(
            "hook_layer",
            "hook_point_layer",
            "is_dataset_tokenized",
            "dataset_trust_remote_code",
            "streaming",
            "use_cached_activations",
            "cached_activations_path",
            "training_tokens",
            "total_training_tokens",
            "store_batch_size",
            "store_batch_size_prompts",
            "n_batches_in_buffer",
            "train_batch_size",
            "train_batch_size_tokens",
            "seed",
            "b_dec_init_method",
            "expansion_factor",
            "from_pretrained_path",
            "l1_coefficient",
            "l1_warm_up_steps",
            "lr",
            "lr_end",
            "lr_scheduler_name",
            "lr_warm_up_steps",
            "lr_decay_steps",
            "n_restart_cycles",
            "decoder_orthogonal_init",
            "decoder_heuristic_init",
            "init_encoder_as_decoder_transpose",
            "normalize_sae_decoder",
            "noise_scale",
            "mse_loss_normalization",
            "autocast",
            "autocast_lm",
            "compile_llm",
            "compile_sae",
            "act_store_device",
            "model_kwargs",
            "run_name",
            "finetuning_tokens",
            "finetuning_method",
            "dead_feature_threshold",
            "dead_feature_window",
            "feature_sampling_window",
            "hook_layer_out",
            "lp_norm",
            "scale_sparsity_penalty_by_decoder_norm",
            "tokens_per_buffer",
            "verbose",
            "log_to_wandb",
            "wandb_project",
            "wandb_id",
            "wandb_entity",
            "wandb_log_frequency",
            "eval_every_n_wandb_logs",
            "checkpoint_path",
            "n_checkpoints",
            "resume",
            "ghost_grads",
            "use_ghost_grads",
            "adam_beta1",
            "adam_beta2",
            "training_config",
            "d_head",
            "decoder_init_norm",
            "aux_loss_coefficient",
            "use_sparse_activations",
            "jumprelu_init_threshold",
            "jumprelu_bandwidth");

    /** Checks the sizes. */
    public SaeConfig {
        if (dIn < 1 || dSae < 1 || dOut < 1)
            throw new IllegalArgumentException("d_in, d_sae and d_out must be positive");
        if (architecture == Architecture.TOPK && (k < 1 || k > dSae))
            throw new IllegalArgumentException("k should lie between 1 and d_sae, not at " + k);
    }

    /**
     * A file's values replaced by those that a registry gives, a JSON object; {@code metadata} takes what belongs
     * there.
     */
    static ConfigFile overridden(ConfigFile file, String overrides) {
        return file.with(overrides, TOP, "metadata");
    }

    /** A configuration, and the keys of its file that were not needed. */
    public record Parsed(SaeConfig config, List<String> skippedKeys) {}

    /**
     * Reads a {@code cfg.json}, of SAELens 6 (with {@code metadata}) or older.
     *
     * @throws InputException if a key is missing, nearly a known one, or has a value that changes the
     *     mathematics and is not understood
     */
    public static Parsed parse(ConfigFile file) {
        ConfigFile metadata = file.object("metadata").orElse(null);
        List<String> skipped = new ArrayList<>(skipped(file, metadata));
        ConfigFile place = metadata == null ? file : metadata;

        Architecture architecture = Architecture.of(file, file.text("architecture", "standard"));
        if (file.text("activation_fn", file.text("activation_fn_str", "relu")).equals("topk")
                && architecture == Architecture.STANDARD)
            architecture = Architecture.TOPK; // as it was written before SAELens 6
        String expected = architecture == Architecture.TOPK ? "topk" : "relu";
        for (String key : List.of("activation_fn", "activation_fn_str")) {
            if (!file.text(key, expected).equals(expected))
                throw file.wrong(key, "'" + expected + "' for the architecture '" + architecture + "'");
        }
        if (file.flag("finetuning_scaling_factor", false))
            throw file.wrong("finetuning_scaling_factor", "false; fine-tuned SAEs are not supported");
        for (String key : List.of("hook_head_index", "hook_point_head_index"))
            if (place.has(key)) throw place.wrong(key, "null; SAEs of a single head are not supported");

        boolean transcoder = architecture.isTranscoder();
        if (transcoder && file.flag("apply_b_dec_to_input", false))
            throw file.wrong("apply_b_dec_to_input", "false: a transcoder's b_dec has the width of its output");
        int dIn = file.size("d_in");
        int dSae = file.size("d_sae");
        int k = architecture == Architecture.TOPK ? k(file) : 0;
        if (k > dSae) throw file.wrong(file.has("k") ? "k" : "activation_fn_kwargs", "at most d_sae, " + dSae);
        if (architecture != Architecture.TOPK && file.flag("rescale_acts_by_decoder_norm", false)) {
            throw file.wrong(
                    "rescale_acts_by_decoder_norm",
                    "false for the architecture '" + architecture + "': SAELens folds it away when it saves");
        }
        Metadata where = metadata(place, metadata != null, transcoder);
        SaeConfig config = new SaeConfig(
                architecture,
                dIn,
                dSae,
                transcoder ? file.size("d_out") : dIn,
                k,
                file.flag("rescale_acts_by_decoder_norm", false),
                !transcoder && file.flag("apply_b_dec_to_input", true),
                normalization(file),
                hookZ(file, where.hookName, metadata == null),
                where);
        return new Parsed(config, skipped);
    }

    private static List<String> skipped(ConfigFile file, ConfigFile metadata) {
        Set<String> harmless = union(TRAINING, KEPT);
        if (metadata == null) return file.skipped(union(TOP, METADATA), harmless);
        List<String> skipped = new ArrayList<>(file.skipped(TOP, harmless));
        skipped.addAll(metadata.skipped(METADATA, harmless));
        return skipped;
    }

    private static Set<String> union(Set<String> some, Set<String> others) {
        Set<String> all = new HashSet<>(some);
        all.addAll(others);
        return all;
    }

    private static int k(ConfigFile file) {
        if (file.has("k")) return file.size("k");
        return file.object("activation_fn_kwargs")
                .map(kwargs -> kwargs.size("k"))
                .orElseGet(() -> file.size("k"));
    }

    private static boolean hookZ(ConfigFile file, String hook, boolean legacy) {
        String reshape = file.text("reshape_activations", legacy && hook.contains("hook_z") ? "hook_z" : "none");
        if (!reshape.equals("none") && !reshape.equals("hook_z"))
            throw file.wrong("reshape_activations", "'none' or 'hook_z'");
        return reshape.equals("hook_z");
    }

    /** Old files say true, false or null. */
    private static Normalization normalization(ConfigFile file) {
        if (!file.has("normalize_activations")) return Normalization.NONE;
        JsonNode value = file.value("normalize_activations");
        if (value.isBoolean())
            return value.booleanValue() ? Normalization.EXPECTED_AVERAGE_ONLY_IN : Normalization.NONE;
        for (Normalization normalization : Normalization.values())
            if (value.isString() && normalization.key().equals(value.stringValue())) return normalization;
        if (value.isString() && value.stringValue().equals("covariance_whitening")) {
            throw file.wrong(
                    "normalize_activations",
                    "folded into the weights: whitening needs statistics that only the trainer has (its"
                            + " save_inference_model folds them)");
        }
        throw file.wrong(
                "normalize_activations", "one of none, layer_norm, constant_norm_rescale, expected_average_only_in");
    }

    /**
     * In SAELens 6 it is free-form, and kept whole, and says nothing of what it leaves out; before, the keys that
     * SAELens 6 would keep.
     */
    private static Metadata metadata(ConfigFile place, boolean whole, boolean transcoder) {
        String hook =
                place.has("hook_point") && !place.has("hook_name") ? place.text("hook_point") : place.text("hook_name");
        if (!place.text("hook_point", hook).equals(hook))
            throw place.wrong("hook_point", "'" + hook + "', as hook_name says");
        Map<String, Object> kwargs = new LinkedHashMap<>();
        place.object("model_from_pretrained_kwargs").ifPresent(object -> {
            for (String key : object.keys()) kwargs.put(key, JSON.treeToValue(object.value(key), Object.class));
        });
        Map<String, String> other = new LinkedHashMap<>();
        for (String key : place.keys()) {
            if ((whole || KEPT.contains(key)) && !METADATA.contains(key) && place.has(key))
                other.put(key, JSON.writeValueAsString(place.value(key)));
        }
        return new Metadata(
                hook,
                transcoder ? place.text("hook_name_out") : hook,
                place.text("model_name", null),
                place.size("context_size", 0),
                place.flag("prepend_bos", !whole),
                place.text("neuronpedia_id", null),
                new ModelKwargs(kwargs),
                other);
    }

    /** The {@code cfg.json} of SAELens 6 that says the same, for weights of a dtype. */
    public String toJson(String dtype) {
        ObjectNode json = JSON.createObjectNode()
                .put("d_in", dIn)
                .put("d_sae", dSae)
                .put("dtype", dtype)
                .put("device", "cpu")
                .put("apply_b_dec_to_input", applyBDecToInput)
                .put("normalize_activations", normalization.key())
                .put("reshape_activations", reshapeHookZ ? "hook_z" : "none");
        ObjectNode where = json.putObject("metadata");
        metadata.other.forEach((key, value) -> where.set(key, JSON.readTree(value)));
        where.put("model_name", metadata.modelName)
                .put("hook_name", metadata.hookName)
                .put("prepend_bos", metadata.prependBos)
                .put("neuronpedia_id", metadata.neuronpediaId);
        if (metadata.contextSize > 0) where.put("context_size", metadata.contextSize);
        if (!metadata.modelKwargs.all().isEmpty())
            where.set("model_from_pretrained_kwargs", JSON.valueToTree(metadata.modelKwargs.all()));
        json.put("architecture", architecture.toString());
        if (architecture == Architecture.TOPK)
            json.put("k", k).put("rescale_acts_by_decoder_norm", rescaleActsByDecoderNorm);
        if (architecture.isTranscoder()) {
            json.put("d_out", dOut);
            where.put("hook_name_out", metadata.hookNameOut);
        }
        return JSON.writeValueAsString(json);
    }

    /** The same SAE with another normalisation of its input, once that is folded into the weights. */
    SaeConfig with(Normalization other) {
        return new SaeConfig(
                architecture,
                dIn,
                dSae,
                dOut,
                k,
                rescaleActsByDecoderNorm,
                applyBDecToInput,
                other,
                reshapeHookZ,
                metadata);
    }

    /** A number that its authors put into the metadata, such as {@code l0}; NaN if they did not. */
    public double reported(String key) {
        String value = metadata.other.get(key);
        return value == null ? Double.NaN : JSON.readTree(value).asDouble(Double.NaN);
    }

    /** {@link Metadata#hookName}. */
    public String hookName() {
        return metadata.hookName;
    }

    /** {@link Metadata#hookNameOut}. */
    public String hookNameOut() {
        return metadata.hookNameOut;
    }

    /** {@link Metadata#modelName}. */
    public @Nullable String modelName() {
        return metadata.modelName;
    }

    /** {@link Metadata#contextSize}. */
    public int contextSize() {
        return metadata.contextSize;
    }

    /** {@link Metadata#prependBos}. */
    public boolean prependBos() {
        return metadata.prependBos;
    }

    /** {@link Metadata#neuronpediaId}. */
    public @Nullable String neuronpediaId() {
        return metadata.neuronpediaId;
    }

    /** {@link Metadata#modelKwargs}. */
    public ModelKwargs modelKwargs() {
        return metadata.modelKwargs;
    }

    /**
     * What to load its model by: {@link #modelName}, with the {@code @REVISION} that its authors ask for.
     *
     * @return null if the model is not known
     * @throws InputException if they ask for a checkpoint that has no revision here
     */
    public @Nullable String modelAtRevision() {
        return metadata.modelName == null ? null : metadata.modelKwargs.at(metadata.modelName);
    }
}
