/**
 * Dashboards of an SAE's features, as SAEDashboard shows them: what makes a feature fire, what it does to the logits,
 * and what it goes along with.
 *
 * <p>In two steps. {@link io.github.panascope.dashboard.FeatureCollector} runs the model over rows of tokens once, and
 * keeps what the SAE's features were, for all of them, in a {@link io.github.panascope.dashboard.FeatureStore}: a
 * folder that grows by whole shards, survives the end of the process at any moment, and can be merged with others.
 * {@link io.github.panascope.dashboard.Dashboards} makes dashboards of any features from it. Both give the same bytes
 * whatever the number of threads, the shards, the order in which they were made, and the other features that are asked
 * for: rows run in blocks of one shape, sums over rows are exact, and samples are drawn by a hash of (seed, feature,
 * row, position).
 */
@NullMarked
package io.github.panascope.dashboard;

import org.jspecify.annotations.NullMarked;
