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
 * A model with SAEs in it, under the names of SAELens's {@code HookedSAETransformer}, as a value: adding or taking one
 * away gives another view, and leaves this one as it is. Views share the model's and the SAEs' weights and own nothing;
 * many threads may use them. The six points inside an SAE are hook points of a run
 * ({@code blocks.8.hook_resid_pre.hook_sae_acts_post}; {@link Sae#INNER_HOOK_POINTS}).
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

    /** A model without SAEs yet. */
    public static HookedSaeTransformer of(HookedTransformer model) {
        return new HookedSaeTransformer(model, Map.of());
    }

    /**
     * How an SAE is put into a model: the defaults, and what should be otherwise, as in
     * {@code Splice.DEFAULT.useErrorTerm(true)}.
     *
     * @param useErrorTerm         whether what it fails to reconstruct is added, so that without an edit nothing
     *     changes
     * @param excludeSpecialTokens whether positions of {@code <|endoftext|>} keep the model's own activation
     */
    public record Splice(boolean useErrorTerm, boolean excludeSpecialTokens) {
        /** Without error term, at all positions. */
        public static final Splice DEFAULT = new Splice(false, false);

        /** These settings with the error term, or without. */
        public Splice useErrorTerm(boolean other) {
            return new Splice(other, excludeSpecialTokens);
        }

        /** These settings without positions of special tokens, or at all positions. */
        public Splice excludeSpecialTokens(boolean other) {
            return new Splice(useErrorTerm, other);
        }
    }

    /**
     * A view with an SAE or transcoder in every run, in the place of one that writes the same hook point.
     *
     * @throws io.github.panascope.InputException if it does not fit the model
     */
    public HookedSaeTransformer addSae(Sae sae, Splice splice) {
        sae.requireFits(model);
        Map<String, Attached> more = new LinkedHashMap<>(attached);
        more.put(sae.config().hookNameOut(), new Attached(sae, splice.useErrorTerm(), splice.excludeSpecialTokens()));
        return new HookedSaeTransformer(model, more);
    }

    /** A view with this SAE in every run, spliced in by {@link Splice#DEFAULT}. */
    public HookedSaeTransformer addSae(Sae sae) {
        return addSae(sae, Splice.DEFAULT);
    }

    /** The same without the SAEs that write these hook points; without any, if none is named. */
    public HookedSaeTransformer resetSaes(String... hookNames) {
        Map<String, Attached> fewer = new LinkedHashMap<>(attached);
        if (hookNames.length == 0) fewer.clear();
        for (String name : hookNames) {
            if (fewer.remove(name) == null)
                throw new IllegalArgumentException("no SAE writes '" + name + "'; SAEs write " + attached.keySet());
        }
        return new HookedSaeTransformer(model, fewer);
    }

    /** The SAEs by the hook points that they write. */
    public Map<String, Sae> actsToSaes() {
        Map<String, Sae> saes = new LinkedHashMap<>();
        attached.forEach((name, each) -> saes.put(name, each.sae));
        return saes;
    }

    /** The model with all SAEs in every run, for whatever takes a model. */
    public HookedTransformer model() {
        HookedTransformer view = model;
        for (Attached each : attached.values())
            view = view.with(each.sae.attachment(
                    each.useErrorTerm,
                    each.excludeSpecialTokens ? new int[] {model.tokenizer().endOfText()} : new int[0]));
        return view;
    }

    /** Describes a forward pass over token ids, int64 [batch, pos], with all SAEs. */
    public Forward forward(Tensor tokens) {
        return model().forward(tokens);
    }

    private HookedSaeTransformer with(Sae... saes) {
        HookedSaeTransformer view = this;
        for (Sae sae : saes) view = view.addSae(sae);
        return view;
    }

    /** Logits [batch, pos, d_vocab] with these SAEs too, for this run. */
    public Tensor runWithSaes(Tensor tokens, Sae... saes) {
        return with(saes).model().run(tokens);
    }

    /** The same, with the activations that were asked for, those inside the SAEs among them. */
    public HookedTransformer.RunWithCache runWithCacheWithSaes(Tensor tokens, Predicate<String> names, Sae... saes) {
        return with(saes).model().runWithCache(tokens, names);
    }

    /** The same under hooks. */
    public Tensor runWithHooksWithSaes(Tensor tokens, Hooks hooks, Sae... saes) {
        return with(saes).model().runWithHooks(tokens, hooks);
    }

    /** Which SAEs are attached, and where. */
    @Override
    public String toString() {
        List<String> parts = new ArrayList<>();
        attached.forEach((name, each) ->
                parts.add(name + "=" + each.sae.name() + (each.useErrorTerm ? " with error term" : "")));
        return "HookedSaeTransformer(" + model.name() + ", " + String.join(", ", parts) + ")";
    }
}
