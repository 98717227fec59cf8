/**
 * Dashboards of an SAE's features, as SAEDashboard shows them: the tokens at which a feature fires, its effect on the
 * logits, and the neurons and features that correlate with it. They are made in two steps. First the model runs once
 * over rows of tokens, and the activations of the features are kept in a folder. The folder grows by whole shards,
 * stays valid if the process ends at any moment, and can be merged with others. Then dashboards of any features are
 * made from the folder.
 *
 * <p>Neither step depends on the number of threads, the shards, the order in which they were made, or the other
 * features that are requested: rows run in blocks of one shape, sums over rows are exact, and samples are drawn by a
 * hash of (seed, feature, row, position).
 *
 * <ul>
 * <li>{@link io.github.panascope.dashboard.FeatureCollector}: runs the model and encodes its activations.
 * <li>{@link io.github.panascope.dashboard.FeatureStore}: the folder of features, whose rows have one
 * {@link io.github.panascope.dashboard.StoreIdentity}. Several folders can be read as one, without copying them.
 * <li>{@link io.github.panascope.dashboard.Dashboards}: makes dashboards from a store, as a
 * {@link io.github.panascope.dashboard.DashboardConfig} says.
 * Groups of features can be made by several threads or machines.
 * <li>{@link io.github.panascope.dashboard.FeatureDashboard}: the dashboard of a feature, with a
 * {@link io.github.panascope.dashboard.Histogram} of its activations and of its logits.
 * <li>{@link io.github.panascope.dashboard.DashboardSink}: a receiver of dashboards;
 * {@link io.github.panascope.dashboard.DashboardSinks} combines several.
 * <li>{@link io.github.panascope.dashboard.DashboardPage}: a sink that writes an HTML page.
 * <li>{@link io.github.panascope.dashboard.FeatureTable}: a sink that writes a Parquet file with a row for each
 * feature.
 * <li>{@link io.github.panascope.dashboard.SaeDashboardJson} and
 * {@link io.github.panascope.dashboard.NeuronpediaBatches}: sinks that write the formats of SAEDashboard and of
 * Neuronpedia.
 * <li>{@link io.github.panascope.dashboard.PromptDashboard}: the strongest features at the tokens of a prompt.
 * <li>{@link io.github.panascope.dashboard.FeatureExamples}: the texts at which features are most active, without a
 * folder.
 * </ul>
 *
 * <pre>{@code
 * rows of tokens
 *       |
 *       v
 * FeatureCollector <- HookedTransformer, Sae
 *       |
 *       v
 * FeatureStore <- merge <- other stores
 *       |
 *       v
 * Dashboards <- DashboardConfig
 *       |
 *       v
 * FeatureDashboard -> DashboardSinks -+-> DashboardPage      -> HTML
 *                                     |-> SaeDashboardJson   -> JSON
 *                                     |-> NeuronpediaBatches -> JSON, in batches
 *                                     |-> FeatureTable       -> Parquet
 *                                     '-> PromptDashboard    -> DashboardPage.prompt
 * }</pre>
 */
@NullMarked
package io.github.panascope.dashboard;

import org.jspecify.annotations.NullMarked;
