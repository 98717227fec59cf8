/**
 * Measures of how sparse an SAE is, and of how much a model loses when the SAE's output replaces an activation. The
 * sums of batches are added exactly by accumulators. Parts of a run can be merged in any order, and travel as bytes.
 *
 * <ul>
 *   <li>{@link io.github.panascope.metrics.TutorialMetrics}: L0, explained variance and losses, in one pass
 *   <li>{@link io.github.panascope.metrics.SaeEvals}: all metrics of SAELens's {@code sae_lens.evals}
 *   <li>{@link io.github.panascope.metrics.L0}: the number of active features at a position
 *   <li>{@link io.github.panascope.metrics.ExplainedVariance}: the share of the variance that a reconstruction keeps
 *   <li>{@link io.github.panascope.metrics.DownstreamLoss}: losses with and without the SAE
 * </ul>
 *
 * <pre>{@code
 * HookedTransformer --+
 * Sae ----------------+-> TutorialMetrics.run -> L0, ExplainedVariance, DownstreamLoss
 * tokens [rows, pos] -+-> SaeEvals.run        -> metrics() by group, featureMetrics(sae) [d_sae]
 * }</pre>
 */
@NullMarked
package io.github.panascope.metrics;

import org.jspecify.annotations.NullMarked;
