/**
 * Language models with a hook at every point that TransformerLens names. A model is loaded and its weights are
 * processed; a forward pass over tokens calls hooks, which read or replace activations, and keeps activations in a
 * cache; the analyses of this package start from the logits and from the cache.
 *
 * <p>Shapes are written as TransformerLens writes them: batch, pos, d_model, head, d_head, d_mlp, d_vocab. A
 * {@link io.github.panascope.lens.HookedTransformer} is immutable; hooks are arguments of a run, so that nothing of a
 * run stays in the model, even if the run throws, and any number of threads may run it at once.
 *
 * <ul>
 * <li>{@link io.github.panascope.lens.HookedTransformer}: a model; loads and saves it and starts runs.
 * <li>{@link io.github.panascope.lens.Forward}: one forward pass, with hooks, caching, losses and gradients.
 * <li>{@link io.github.panascope.lens.Hooks}, {@link io.github.panascope.lens.Hook} and
 * {@link io.github.panascope.lens.Edits}: functions at hook points, alone and combined, and common ones.
 * <li>{@link io.github.panascope.lens.Attachment}: a component that replaces an activation, such as an SAE.
 * <li>{@link io.github.panascope.lens.ActivationCache}: the activations of a run, and decompositions of the residual
 * stream.
 * <li>{@link io.github.panascope.lens.ResidualStack}: components of the residual stream, and what each adds to a logit.
 * <li>{@link io.github.panascope.lens.Patching}: activation patching by position and head.
 * <li>{@link io.github.panascope.lens.SharedPrefix}: the blocks that several runs over the same tokens have in common.
 * <li>{@link io.github.panascope.lens.Generation} and {@link io.github.panascope.lens.Sampling}: text from prompts.
 * <li>{@link io.github.panascope.lens.Weights} and {@link io.github.panascope.lens.FactoredMatrix}: processed weights,
 * and circuits of heads.
 * <li>{@link io.github.panascope.lens.LmMetrics} and {@link io.github.panascope.lens.TestPrompt}: how well logits
 * predict tokens.
 * </ul>
 *
 * <pre>{@code
 * text -> HookedTransformer.toTokens -> tokens [batch, pos]
 *                                         |
 *                   Hooks, Attachment     v
 *                  ------------------> Forward -> logits [batch, pos, d_vocab] -> LmMetrics, TestPrompt
 *                                         |   |-> loss
 *                                         v   '-> Gradients
 *                                   ActivationCache -> ResidualStack -> what each component adds to a logit
 *                                         |
 *                                         '-> Patching -> a metric for each position or head
 * }</pre>
 */
@NullMarked
package io.github.panascope.lens;

import org.jspecify.annotations.NullMarked;
