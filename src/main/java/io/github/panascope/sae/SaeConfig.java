package io.github.panascope.sae;

import io.github.panascope.hub.ConfigFile;
import io.github.panascope.hub.InputException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * What an SAE is and where it belongs, from the {@code cfg.json} of SAELens 2 to 6.
 *
 * @param architecture      SAELens's name, such as {@code standard}
 * @param dIn               width of what it reads
 * @param dSae              number of features
 * @param applyBDecToInput  whether b_dec is subtracted from the input
 * @param normalization     what is done to activations around it
 * @param reshapeHookZ      whether its input is attn.hook_z, heads side by side
 * @param hookName          the hook point it was trained on
 * @param modelName         the TransformerLens name of its model; null if unknown
 * @param contextSize       tokens in a row of its training; 0 if unknown
 * @param prependBos        whether rows began with {@code <|endoftext|>}
 * @param neuronpediaId     such as {@code gpt2-small/8-res-jb}; null if it has no page
 * @param modelKwargs       arguments of from_pretrained that its authors ask for; empty if none
 */
public record SaeConfig(String architecture, int dIn, int dSae, boolean applyBDecToInput, Normalization normalization, boolean reshapeHookZ,
                        String hookName, String modelName, int contextSize, boolean prependBos, String neuronpediaId, Map<String, Boolean> modelKwargs) {
    private static final Set<String> TOP = Set.of("architecture", "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations",
            "reshape_activations", "metadata", "activation_fn", "activation_fn_str", "activation_fn_kwargs", "finetuning_scaling_factor");
    /** In `metadata` since SAELens 6, at the top before. */
    private static final Set<String> METADATA = Set.of("hook_name", "hook_point", "hook_head_index", "hook_point_head_index", "model_name", "context_size",
            "prepend_bos", "neuronpedia_id", "model_from_pretrained_kwargs", "sae_lens_version");
    /** Written by SAELens's trainers, of no meaning for inference; here so that none is taken for a misspelling. */
    private static final Set<String> TRAINING = Set.of("hook_layer", "hook_point_layer", "dataset_path", "is_dataset_tokenized", "dataset_trust_remote_code",
            "streaming", "use_cached_activations", "cached_activations_path", "training_tokens", "total_training_tokens", "store_batch_size",
            "store_batch_size_prompts", "n_batches_in_buffer", "train_batch_size", "train_batch_size_tokens", "seed", "b_dec_init_method",
            "expansion_factor", "from_pretrained_path", "l1_coefficient", "l1_warm_up_steps", "lr", "lr_end", "lr_scheduler_name", "lr_warm_up_steps",
            "lr_decay_steps", "n_restart_cycles", "model_class_name", "seqpos_slice", "exclude_special_tokens", "sae_lens_training_version",
            "decoder_orthogonal_init", "decoder_heuristic_init", "init_encoder_as_decoder_transpose", "normalize_sae_decoder", "noise_scale",
            "mse_loss_normalization", "autocast", "autocast_lm", "compile_llm", "compile_sae", "act_store_device", "model_kwargs", "run_name",
            "finetuning_tokens", "finetuning_method", "dead_feature_threshold", "dead_feature_window", "feature_sampling_window", "hook_name_out",
            "hook_head_index_out", "hook_layer_out", "lp_norm", "scale_sparsity_penalty_by_decoder_norm", "tokens_per_buffer", "verbose",
            "log_to_wandb", "wandb_project", "wandb_id", "wandb_entity", "wandb_log_frequency", "eval_every_n_wandb_logs", "checkpoint_path",
            "n_checkpoints", "resume", "ghost_grads", "use_ghost_grads", "adam_beta1", "adam_beta2", "hf_hook_name", "hf_hook_name_out");

    /** Checks the sizes. */
    public SaeConfig {
        if (dIn < 1 || dSae < 1) throw new IllegalArgumentException("d_in and d_sae must be positive");
        modelKwargs = Map.copyOf(modelKwargs);
    }

    /** A configuration, and the keys of its file that were not needed. */
    public record Parsed(SaeConfig config, List<String> skippedKeys) {}

    /**
     * Reads a {@code cfg.json}, of SAELens 6 (with {@code metadata}) or older.
     *
     * @throws InputException if a key is missing, nearly a known one, or has a value that changes the mathematics and is not understood
     */
    public static Parsed parse(ConfigFile file) {
        ConfigFile metadata = file.object("metadata").orElse(null);
        List<String> skipped = new ArrayList<>(skipped(file, metadata));
        ConfigFile place = metadata == null ? file : metadata;

        String architecture = file.text("architecture", "standard");
        Architecture.requireSupported(file, architecture);
        requireRelu(file);
        if (file.flag("finetuning_scaling_factor", false)) throw file.wrong("finetuning_scaling_factor", "false; fine-tuned SAEs are not supported yet");
        for (String key : List.of("hook_head_index", "hook_point_head_index")) if (place.has(key)) throw place.wrong(key, "null; SAEs of a single head are not supported yet");

        String hook = place.has("hook_point") && !place.has("hook_name") ? place.text("hook_point") : place.text("hook_name");
        boolean hookZ = hookZ(file, hook, metadata == null);
        SaeConfig config = new SaeConfig(architecture, file.size("d_in"), file.size("d_sae"), file.flag("apply_b_dec_to_input", true), normalization(file), hookZ,
                hook, place.text("model_name", null), place.size("context_size", 0), place.flag("prepend_bos", true), place.text("neuronpedia_id", null), kwargs(place));
        return new Parsed(config, skipped);
    }

    private static List<String> skipped(ConfigFile file, ConfigFile metadata) {
        if (metadata != null) {
            List<String> skipped = new ArrayList<>(file.skipped(TOP, TRAINING));
            skipped.addAll(metadata.skipped(METADATA, TRAINING));
            return skipped;
        }
        Set<String> both = new java.util.HashSet<>(TOP);
        both.addAll(METADATA);
        return file.skipped(both, TRAINING);
    }

    private static void requireRelu(ConfigFile file) {
        for (String key : List.of("activation_fn", "activation_fn_str")) {
            if (!file.text(key, "relu").equals("relu")) throw file.wrong(key, "'relu' for the architecture 'standard'");
        }
    }

    private static boolean hookZ(ConfigFile file, String hook, boolean legacy) {
        String reshape = file.text("reshape_activations", legacy && hook.contains("hook_z") ? "hook_z" : "none");
        if (!reshape.equals("none") && !reshape.equals("hook_z")) throw file.wrong("reshape_activations", "'none' or 'hook_z'");
        return reshape.equals("hook_z");
    }

    /** Old files say true, false or null. */
    private static Normalization normalization(ConfigFile file) {
        if (!file.has("normalize_activations")) return Normalization.NONE;
        JsonNode value = file.value("normalize_activations");
        if (value.isBoolean()) return value.booleanValue() ? Normalization.EXPECTED_AVERAGE_ONLY_IN : Normalization.NONE;
        for (Normalization normalization : Normalization.values()) if (value.isString() && normalization.key().equals(value.stringValue())) return normalization;
        throw file.wrong("normalize_activations", "one of none, layer_norm, constant_norm_rescale, expected_average_only_in");
    }

    private static Map<String, Boolean> kwargs(ConfigFile place) {
        Map<String, Boolean> kwargs = new LinkedHashMap<>();
        place.object("model_from_pretrained_kwargs").ifPresent(object -> {
            for (String key : object.keys()) if (object.value(key).isBoolean()) kwargs.put(key, object.value(key).booleanValue());
        });
        return kwargs;
    }

    /** The same SAE with what a registry knows of it. */
    SaeConfig published(String neuronpediaId, Map<String, Boolean> kwargs) {
        return new SaeConfig(architecture, dIn, dSae, applyBDecToInput, normalization, reshapeHookZ, hookName, modelName, contextSize, prependBos,
                neuronpediaId == null ? this.neuronpediaId : neuronpediaId, kwargs.isEmpty() ? modelKwargs : kwargs);
    }
}
