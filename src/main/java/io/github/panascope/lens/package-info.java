/**
 * GPT-2 with a hook at every point that TransformerLens names: loading, weight processing, forward passes,
 * hooks, gradients, caches and what the residual stream in them is made of, patching, generation and
 * {@code test_prompt}.
 *
 * <p>Shapes are written as TransformerLens writes them: batch, pos, d_model, head, d_head, d_mlp, d_vocab. A
 * {@link io.github.panascope.lens.HookedTransformer} is immutable; hooks are arguments of a run, so nothing of a run is
 * left behind in the model, whatever was thrown, and any number of threads may run it at once.
 */
@NullMarked
package io.github.panascope.lens;

import org.jspecify.annotations.NullMarked;
