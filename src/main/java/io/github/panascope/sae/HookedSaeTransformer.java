package io.github.panascope.sae;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * A model with SAEs in it, under the names of SAELens's {@code HookedSAETransformer}. It is a value: adding or removing
 * an SAE returns another view and leaves this one as it is. Views share the weights of the model and the SAEs, own
 * nothing, and may be used by many threads. The six points inside an SAE are hook points of a run
 * ({@code blocks.8.hook_resid_pre.hook_sae_acts_post}; {@link Sae#INNER_HOOK_POINTS}).
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     HookedSaeTransformer spliced = HookedSaeTransformer.of(model)
 *             .addSae(sae, HookedSaeTransformer.Splice.DEFAULT.useErrorTerm(true));
 *     String point = "blocks.8.hook_resid_pre.hook_sae_acts_post";
 *     Tensor tokens = model.toTokens("The Eiffel Tower is in the city of Paris");
 *     var run = spliced.runWithCacheWithSaes(tokens, point::equals);
 *     Tensor active = run.cache().get(point).gt(0).sum(-1, false); // [1, pos]
 *     System.out.println(Arrays.toString(active.toLongs()) + " active features");
 * }
 * }</pre>
 */
public final class HookedSaeTransformer {
    /** An SAE, and how it is attached. */
    private record Attached(Sae sae, boolean useErrorTerm, boolean excludeSpecialTokens) {}

    private final HookedTransformer model;
    private final Map<String, Attached> attached;

    private HookedSaeTransformer(HookedTransformer model, Map<String, Attached> attached) {
        this.model = model;
        this.attached = Collections.unmodifiableMap(attached);
    }

    /**
     * Creates a view of a model without SAEs.
     *
     * @param model the model, which has to stay open while views are used
     * @return the view
     */
    public static HookedSaeTransformer of(HookedTransformer model) {
        return new HookedSaeTransformer(model, Map.of());
    }

    /**
     * The way in which an SAE is put into a model, as the defaults with changes:
     * {@code Splice.DEFAULT.useErrorTerm(true)}.
     *
     * @param useErrorTerm         true to add what the SAE fails to reconstruct, so that without an edit the model's
     *     output does not change
     * @param excludeSpecialTokens true to keep the model's own activation at positions of special tokens
     */
    public record Splice(boolean useErrorTerm, boolean excludeSpecialTokens) {
        /** Without the error term, at all positions. */
        public static final Splice DEFAULT = new Splice(false, false);

        /**
         * Returns these settings with or without the error term.
         *
         * @param other true to add what the SAE fails to reconstruct
         * @return the new settings
         */
        public Splice useErrorTerm(boolean other) {
            return new Splice(other, excludeSpecialTokens);
        }

        /**
         * Returns these settings with or without an exception for special tokens.
         *
         * @param other true to keep the model's own activation at positions of special tokens
         * @return the new settings
         */
        public Splice excludeSpecialTokens(boolean other) {
            return new Splice(useErrorTerm, other);
        }
    }

    /**
     * Returns a view with an SAE or transcoder in every run. It replaces one that writes the same hook point.
     *
     * @param sae    the SAE, which has to stay open while the view is used
     * @param splice how the SAE is put into the model
     * @return the view
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     */
    public HookedSaeTransformer addSae(Sae sae, Splice splice) {
        sae.requireFits(model);
        Map<String, Attached> more = new LinkedHashMap<>(attached);
        more.put(sae.config().hookNameOut(), new Attached(sae, splice.useErrorTerm(), splice.excludeSpecialTokens()));
        return new HookedSaeTransformer(model, more);
    }

    /**
     * Returns a view with an SAE or transcoder in every run, put in by {@link Splice#DEFAULT}. It replaces one that
     * writes the same hook point.
     *
     * @param sae the SAE, which has to stay open while the view is used
     * @return the view
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     */
    public HookedSaeTransformer addSae(Sae sae) {
        return addSae(sae, Splice.DEFAULT);
    }

    /**
     * Returns a view without the SAEs that write these hook points.
     *
     * @param hookNames the whole names of the hook points; none to remove all SAEs
     * @return the view
     * @throws IllegalArgumentException if no SAE writes one of these hook points
     */
    public HookedSaeTransformer resetSaes(String... hookNames) {
        Map<String, Attached> fewer = new LinkedHashMap<>(attached);
        if (hookNames.length == 0) fewer.clear();
        for (String name : hookNames) {
            if (fewer.remove(name) == null)
                throw new IllegalArgumentException("no SAE writes '" + name + "'; SAEs write " + attached.keySet());
        }
        return new HookedSaeTransformer(model, fewer);
    }

    /** {@return the SAEs by the hook points that they write} */
    public Map<String, Sae> actsToSaes() {
        Map<String, Sae> saes = new LinkedHashMap<>();
        attached.forEach((name, each) -> saes.put(name, each.sae));
        return saes;
    }

    /** {@return the model with all SAEs in every run: a view, for functions that take a model} */
    public HookedTransformer model() {
        HookedTransformer view = model;
        for (Attached each : attached.values())
            view = view.with(each.sae.attachment(
                    each.useErrorTerm,
                    each.excludeSpecialTokens ? model.tokenizer().bosEosPad() : new int[0]));
        return view;
    }

    /**
     * Describes a forward pass with all SAEs.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @return the forward pass
     * @throws IllegalArgumentException if the tokens have another shape or dtype, are none, or are more than n_ctx
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     */
    public Forward forward(Tensor tokens) {
        return model().forward(tokens);
    }

    private HookedSaeTransformer with(Sae... saes) {
        HookedSaeTransformer view = this;
        for (Sae sae : saes) view = view.addSae(sae);
        return view;
    }

    /**
     * Runs the model with its SAEs and with further ones, which are added by {@link Splice#DEFAULT} for this run.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @param saes   the further SAEs
     * @return the logits, [batch, pos, d_vocab], in the innermost scope
     * @throws io.github.panascope.InputException if an SAE does not fit the model
     */
    public Tensor runWithSaes(Tensor tokens, Sae... saes) {
        return with(saes).model().run(tokens);
    }

    /**
     * Runs the model with its SAEs and with further ones, which are added by {@link Splice#DEFAULT} for this run, and
     * keeps activations.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @param names  the predicate of the whole names of hook points whose activations are kept, those inside the SAEs
     *     included
     * @param saes   the further SAEs
     * @return the logits, [batch, pos, d_vocab], and the activations, in the innermost scope
     * @throws io.github.panascope.InputException if an SAE does not fit the model
     */
    public HookedTransformer.RunWithCache runWithCacheWithSaes(Tensor tokens, Predicate<String> names, Sae... saes) {
        return with(saes).model().runWithCache(tokens, names);
    }

    /**
     * Runs the model under hooks with its SAEs and with further ones, which are added by {@link Splice#DEFAULT} for
     * this run.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @param hooks  the hooks, which may name points inside the SAEs
     * @param saes   the further SAEs
     * @return the logits, [batch, pos, d_vocab], in the innermost scope
     * @throws io.github.panascope.InputException if an SAE does not fit the model
     */
    public Tensor runWithHooksWithSaes(Tensor tokens, Hooks hooks, Sae... saes) {
        return with(saes).model().runWithHooks(tokens, hooks);
    }

    /** {@return the name of the model, and the SAEs by the hook points that they write} */
    @Override
    public String toString() {
        List<String> parts = new ArrayList<>();
        attached.forEach((name, each) ->
                parts.add(name + "=" + each.sae.name() + (each.useErrorTerm ? " with error term" : "")));
        return "HookedSaeTransformer(" + model.name() + ", " + String.join(", ", parts) + ")";
    }
}
