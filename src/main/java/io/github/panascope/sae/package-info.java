/**
 * Sparse autoencoders as SAELens publishes them: configuration, weights, encoding, decoding, and their place in a run.
 * An SAE reads the activation at a hook point, encodes it into features, and decodes these into the activation that
 * takes its place; a transcoder writes another hook point. An SAE is immutable, and nothing in this package writes to
 * one.
 *
 * <ul>
 * <li>{@link io.github.panascope.sae.Sae}: an SAE; loads and saves it, encodes, decodes, and attaches to a run.
 * <li>{@link io.github.panascope.sae.SaeConfig}: its configuration, with {@link io.github.panascope.sae.Architecture},
 * {@link io.github.panascope.sae.Normalization} and {@link io.github.panascope.sae.ModelKwargs}.
 * <li>{@code SaeFunction}, not public: the formulas of the architectures.
 * <li>{@link io.github.panascope.sae.HookedSaeTransformer}: a model with SAEs in every run.
 * <li>{@link io.github.panascope.sae.FeatureAttribution}: the effect of each feature on a metric of the logits.
 * <li>{@link io.github.panascope.sae.Neuronpedia}: the addresses of an SAE's pages.
 * </ul>
 *
 * <pre>{@code
 * activation [batch, pos, d_in]                                   replaced activation [batch, pos, d_out]
 *       |                                                                     ^
 *       v                                                                     |
 * Normalization -> Sae.encode -> features [batch, pos, d_sae] -> Sae.decode --'
 *                                    |
 *                                    '-> FeatureAttribution -> effect of each feature
 * }</pre>
 */
@NullMarked
package io.github.panascope.sae;

import org.jspecify.annotations.NullMarked;
