package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.lens.Attachment;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.Tensor;
import java.util.Arrays;
import java.util.List;

/** The splicing of an SAE into a run of a model: the points that it reads and writes, and its own hook points. */
final class SaeAttachment {
    private final Sae sae;
    private final SaeConfig config;
    private final boolean useErrorTerm;
    private final int[] excluded;
    /** The prefix of the names of the SAE's own hook points. */
    private final String prefix;

    /**
     * Creates the splicing of an SAE.
     *
     * @param useErrorTerm true to add the error of the reconstruction
     * @param excluded     token ids at whose positions the model keeps its own activation
     */
    SaeAttachment(Sae sae, boolean useErrorTerm, int... excluded) {
        this.sae = sae;
        this.config = sae.config();
        this.useErrorTerm = useErrorTerm;
        this.excluded = excluded.clone();
        this.prefix = config.hookNameOut() + ".";
    }

    Attachment attachment() {
        List<String> points = Sae.INNER_HOOK_POINTS.stream()
                .filter(point -> useErrorTerm || !point.equals("hook_sae_error"))
                .map(prefix::concat)
                .toList();
        return new Attachment(config.hookName(), config.hookNameOut(), points, this::run);
    }

    private Tensor run(Tensor read, Tensor there, Tensor tokens, Attachment.PointHooks hooks) throws Exception {
        Tensor input = hooks.at(prefix + "hook_sae_input", sae.mergeHeads(read));
        Tensor rows = input.reshape(-1, config.dIn());
        long[] leading = Arrays.copyOf(input.shape().sizes(), input.shape().rank() - 1);
        Normalization.Normalized normalized = config.normalization().apply(rows);
        Tensor features = sae.encodeNormalized(
                normalized.rows(),
                pre -> hooks.at(prefix + "hook_sae_acts_pre", Sae.reshape(pre, leading, config.dSae()))
                        .reshape(-1, config.dSae()));
        features = hooks.at(prefix + "hook_sae_acts_post", Sae.reshape(features, leading, config.dSae()));
        Tensor decoded = sae.decodeRows(features.reshape(-1, config.dSae()));
        decoded = hooks.at(prefix + "hook_sae_recons", Sae.reshape(decoded, leading, config.dOut()))
                .reshape(-1, config.dOut());
        Tensor output = sae.denormalized(decoded, rows, normalized)
                .reshape(there.shape().sizes());
        Tensor special = excluded.length > 0 ? special(excluded, tokens, there) : null;
        if (useErrorTerm) {
            Tensor error = there.to(sae.dtype())
                    .sub(sae.reconstruct(read).reshape(there.shape().sizes()));
            if (special != null) error = error.zerosLike().where(special, error);
            output = output.add(hooks.at(prefix + "hook_sae_error", error));
        }
        if (special != null) output = there.to(sae.dtype()).where(special, output);
        return hooks.at(prefix + "hook_sae_output", output).to(there.dtype());
    }

    /** Returns bool [batch, pos, 1, ...], true where a token of the run is among the excluded ones. */
    private static Tensor special(int[] excluded, Tensor tokens, Tensor there) {
        if (tokens == null || tokens.size(1) != there.size(1))
            throw new IllegalStateException(
                    "special tokens cannot be excluded: the run's positions are not those of its tokens");
        Tensor special = tokens.eq(excluded[0]);
        for (int i = 1; i < excluded.length; i++) {
            Tensor another = tokens.eq(excluded[i]);
            special = another.where(another, special);
        }
        while (special.shape().rank() < there.shape().rank()) special = special.unsqueeze(-1);
        return special;
    }

    /**
     * Checks that an SAE can be put into a model.
     *
     * @throws InputException if the model lacks a hook point that the SAE reads or writes, or if the activation there
     *     has another width
     */
    static void requireFits(Sae sae, HookedTransformer model) {
        SaeConfig config = sae.config();
        String in = config.hookName();
        String out = config.hookNameOut();
        requireHook(sae, model, in, config.dIn(), "d_in");
        if (!out.equals(in)) requireHook(sae, model, out, config.dOut(), "d_out");
        boolean heads = HookPoint.of(in).orElseThrow().axes().getLast() == HookPoint.Axis.D_HEAD;
        if (heads && !config.reshapeHookZ()) {
            throw new InputException("SAE " + sae.name() + " belongs at " + in
                    + ", whose heads have to be laid side by side: its cfg.json should say"
                    + " \"reshape_activations\": \"hook_z\".");
        }
    }

    private static void requireHook(Sae sae, HookedTransformer model, String hook, int width, String what) {
        TransformerConfig sizes = model.config();
        HookPoint point = HookPoint.of(hook)
                .orElseThrow(() -> new InputException("SAE " + sae.name() + " belongs at '" + hook
                        + "', which is no hook point of model " + model.name() + "."
                        + Suggestions.didYouMean(hook, model.hookNames())));
        if (point.isInBlock() && point.block() >= sizes.nLayers()) {
            throw new InputException("SAE " + sae.name() + " belongs at " + hook + ", but model " + model.name()
                    + " has only " + sizes.nLayers() + " layers.");
        }
        int there = point.width(sizes);
        if (there != width) {
            throw new InputException("SAE " + sae.name() + " has " + what + " " + width + ", but model " + model.name()
                    + " has " + (there < 0 ? "no feature dimension" : "width " + there) + " at " + hook + ".");
        }
    }
}
