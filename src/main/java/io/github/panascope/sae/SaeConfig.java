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
 * The configuration of an SAE, from the {@code cfg.json} of SAELens 2 to 6.
 *
 * @param architecture             the architecture, which determines the formulas
 * @param dIn                      the width of the activation that it reads
 * @param dSae                     the number of features
 * @param dOut                     the width of the activation that it writes: {@code dIn} except for transcoders
 * @param k                        the number of features that a topk SAE keeps at each position; 0 for other
 *     architectures
 * @param rescaleActsByDecoderNorm true if a topk SAE selects features by activation times ‖W_dec‖
 * @param applyBDecToInput         true if b_dec is subtracted from the input
 * @param normalization            the normalisation of activations around the SAE
 * @param reshapeHookZ             true if the input is attn.hook_z with its heads side by side
 * @param metadata                 the model and the hook points that the SAE belongs to
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
     * The model and the hook points that an SAE belongs to, and further facts about it.
     *
     * @param hookName      the hook point that it reads
     * @param hookNameOut   the hook point that it writes: for an SAE the one that it reads, for a transcoder another
     * @param modelName     the TransformerLens name of its model; null if unknown
     * @param contextSize   the number of tokens in a row of its training; 0 if unknown
     * @param prependBos    true if rows began with the bos token
     * @param neuronpediaId the id of its page, such as {@code gpt2-small/8-res-jb}; null if it has no page
     * @param modelKwargs   the arguments of TransformerLens's from_pretrained with which its model has to be loaded
     * @param other         the further metadata that SAELens keeps, as JSON texts by key; nothing here depends on it
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

    /** Reads and writes NaN and Infinity as Python does. */
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
    /** The keys in {@code metadata} since SAELens 6, at the top level before. */
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
    /** The further keys that SAELens 6 keeps in {@code metadata}; they are kept when an SAE is saved. */
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
    /**
     * The keys that SAELens's trainers write and that have no meaning for inference. They are listed so that none is
     * taken for a misspelling.
     */
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

    /**
     * Checks the sizes.
     *
     * @throws IllegalArgumentException if a width or the number of features is less than 1, or if a topk SAE's
     *     {@code k} is not between 1 and {@code dSae}
     */
    public SaeConfig {
        if (dIn < 1 || dSae < 1 || dOut < 1)
            throw new IllegalArgumentException("d_in, d_sae and d_out must be positive");
        if (architecture == Architecture.TOPK && (k < 1 || k > dSae))
            throw new IllegalArgumentException("k should lie between 1 and d_sae, not at " + k);
    }

    /**
     * Returns a file with values replaced by those that a registry gives.
     *
     * @param overrides the values, a JSON object; keys that do not belong to the top level go into {@code metadata}, if
     *     the file has it
     */
    static ConfigFile overridden(ConfigFile file, String overrides) {
        return file.with(overrides, TOP, "metadata");
    }

    /**
     * A configuration that was read from a file.
     *
     * @param config      the configuration
     * @param skippedKeys the keys of the file that were not needed
     */
    public record Parsed(SaeConfig config, List<String> skippedKeys) {}

    /**
     * Reads a {@code cfg.json} of SAELens 6 (with {@code metadata}) or older.
     *
     * @param file the content of the file
     * @return the configuration, and the keys that were not needed
     * @throws InputException if a key is missing, nearly equals a known key, or has an unsupported value that changes
     *     the mathematics
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

    /** Reads the normalisation. Old files have true, false or null instead of a name. */
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
     * Reads the metadata. In SAELens 6 it has any keys, and all of them are kept; a missing prepend_bos means false. Of
     * older files, the keys are kept that SAELens 6 would keep, and a missing prepend_bos means true.
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

    /**
     * Writes this configuration as the {@code cfg.json} of SAELens 6.
     *
     * @param dtype the dtype of the weights, as SAELens names it, such as {@code float32}
     * @return the JSON text
     */
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

    /** Returns this configuration with another normalisation, for weights into which the former one was folded. */
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

    /**
     * {@return a number that was published in the metadata, such as {@code l0}; NaN if it is not there or no number}
     *
     * @param key the key of the metadata
     */
    public double reported(String key) {
        String value = metadata.other.get(key);
        return value == null ? Double.NaN : JSON.readTree(value).asDouble(Double.NaN);
    }

    /** {@return the hook point that the SAE reads} */
    public String hookName() {
        return metadata.hookName;
    }

    /** {@return the hook point that the SAE writes: for a transcoder another than it reads} */
    public String hookNameOut() {
        return metadata.hookNameOut;
    }

    /** {@return the TransformerLens name of the SAE's model; null if unknown} */
    public @Nullable String modelName() {
        return metadata.modelName;
    }

    /** {@return the number of tokens in a row of the SAE's training; 0 if unknown} */
    public int contextSize() {
        return metadata.contextSize;
    }

    /** {@return whether rows of the SAE's training began with the bos token} */
    public boolean prependBos() {
        return metadata.prependBos;
    }

    /**
     * {@return the id of the SAE's page on Neuronpedia, such as {@code gpt2-small/8-res-jb}; null if it has no page}
     */
    public @Nullable String neuronpediaId() {
        return metadata.neuronpediaId;
    }

    /** {@return the arguments of TransformerLens's from_pretrained with which the SAE's model has to be loaded} */
    public ModelKwargs modelKwargs() {
        return metadata.modelKwargs;
    }

    /**
     * Returns the name by which the SAE's model is loaded: {@link #modelName}, with the {@code @REVISION} that
     * {@link #modelKwargs} asks for.
     *
     * @return the name; null if the model is unknown
     * @throws InputException if the arguments ask for a checkpoint whose revision is not known, or if their revision is
     *     no text
     */
    public @Nullable String modelAtRevision() {
        return metadata.modelName == null ? null : metadata.modelKwargs.at(metadata.modelName);
    }
}
