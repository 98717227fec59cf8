package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.lens.HookedTransformer;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * The {@code model_from_pretrained_kwargs} of an SAE: arguments of TransformerLens's {@code from_pretrained} with which
 * its model has to be loaded.
 *
 * @param all the arguments by name, in the order of the file, as Boolean, Number, String, List, Map or null; empty if
 *     there are none
 */
public record ModelKwargs(Map<String, Object> all) {
    /** No arguments. */
    public static final ModelKwargs NONE = new ModelKwargs(Map.of());

    /**
     * The arguments of from_pretrained that determine how weights are processed. {@link #REVISION} has those that
     * select the weights, {@link #WITHOUT_EFFECT} those that change no number.
     */
    private static final Set<String> PROCESSING = Set.of(
            "fold_ln",
            "center_writing_weights",
            "center_unembed",
            "refactor_factored_attn_matrices",
            "fold_value_biases");

    private static final Set<String> REVISION =
            Set.of("revision", "checkpoint_value", "checkpoint_index", "checkpoint_label");
    private static final Set<String> WITHOUT_EFFECT = Set.of(
            "device",
            "dtype",
            "torch_dtype",
            "n_devices",
            "move_to_device",
            "trust_remote_code",
            "default_padding_side",
            "default_prepend_bos",
            "local_files_only",
            "cache_dir",
            "token");

    /** Copies the map. */
    public ModelKwargs {
        all = Collections.unmodifiableMap(new LinkedHashMap<>(all));
    }

    /** {@return the arguments that determine how TransformerLens processes the weights, nulls included} */
    public Map<String, Object> processing() {
        return chosen(PROCESSING::contains);
    }

    /** {@return the arguments that select a state of the model's training, without nulls} */
    public Map<String, Object> revision() {
        return given(chosen(REVISION::contains));
    }

    /** {@return the arguments that may change the model and have no meaning here, without nulls} */
    public Map<String, Object> unknown() {
        return given(
                chosen(key -> !PROCESSING.contains(key) && !WITHOUT_EFFECT.contains(key) && !REVISION.contains(key)));
    }

    /**
     * Returns a model's name with the revision of these arguments, as {@link SaeConfig#modelAtRevision} describes it.
     */
    String at(String modelName) {
        Object revision = all.get("revision");
        Object checkpoint = all.get("checkpoint_value");
        Optional<String> known = checkpoint instanceof Number step
                ? HookedTransformer.revisionOfStep(modelName, step.longValue())
                : Optional.empty();
        if (known.isPresent()) return modelName + "@" + known.get();
        for (String key : List.of("checkpoint_value", "checkpoint_index", "checkpoint_label")) {
            if (all.get(key) == null) continue;
            throw new InputException("the SAE belongs to " + modelName + " at " + key + " " + all.get(key)
                    + ", and which revision of the model that is, is not known: load the model by its name or"
                    + " folder and revision (NAME@REVISION).");
        }
        if (revision == null) return modelName;
        if (revision instanceof String text && !text.isBlank()) return modelName + "@" + text;
        throw new InputException(
                "the SAE's model_from_pretrained_kwargs should have a text as 'revision', not " + revision + ".");
    }

    private Map<String, Object> chosen(Predicate<String> wanted) {
        Map<String, Object> found = new LinkedHashMap<>(all);
        found.keySet().removeIf(wanted.negate());
        return found;
    }

    /** Removes the arguments that are null, because null is TransformerLens's default. */
    private static Map<String, Object> given(Map<String, Object> kwargs) {
        kwargs.values().removeIf(Objects::isNull);
        return kwargs;
    }
}
