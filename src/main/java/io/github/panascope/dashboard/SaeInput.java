package io.github.panascope.dashboard;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;

/** The activation that an SAE reads, from runs of a model that go no further than its hook point. */
final class SaeInput {
    private final HookedTransformer model;
    private final String hook;
    /** The block before which runs stop; -1 for runs to the end. */
    private final int stopLayer;
    /** Whether the stream that enters that block is the activation. */
    private final boolean residualIsIt;

    SaeInput(HookedTransformer model, Sae sae) {
        this.model = model;
        this.hook = sae.config().hookName();
        HookPoint point = HookPoint.of(hook).orElseThrow();
        this.residualIsIt = point.isInBlock() && point.part().equals("hook_resid_pre");
        this.stopLayer = point.isInBlock()
                ? point.block() + (residualIsIt ? 0 : 1)
                : point.block() == HookPoint.AFTER_BLOCKS ? -1 : 0;
    }

    /**
     * Computes the activation.
     *
     * @param tokens the token ids [rows, context] on the model's device
     */
    Tensor of(Tensor tokens) {
        Forward run = model.forward(tokens);
        if (residualIsIt) return run.stopAtLayer(stopLayer);
        run.caching(hook);
        if (stopLayer < 0) run.logits();
        else run.stopAtLayer(stopLayer);
        return run.cache().get(hook);
    }
}
