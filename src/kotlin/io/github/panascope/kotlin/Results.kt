@file:JvmName("Results")

package io.github.panascope.kotlin

import io.github.panascope.dashboard.FeatureDashboard
import io.github.panascope.lens.ActivationCache
import io.github.panascope.lens.FactoredMatrix
import io.github.panascope.lens.Forward
import io.github.panascope.lens.HookedTransformer
import io.github.panascope.lens.TestPrompt
import io.github.panascope.metrics.DownstreamLoss
import io.github.panascope.metrics.ExplainedVariance
import io.github.panascope.metrics.L0
import io.github.panascope.metrics.TutorialMetrics
import io.github.panascope.sae.FeatureAttribution
import io.github.panascope.sae.Sae
import io.github.panascope.torch.Tensor

/*
 * Destructuring of the records that methods return: `val (logits, cache) = model.runWithCache(tokens) { true }`.
 * Kotlin reads the components of Java's records as properties, but does not destructure them by itself.
 */

public operator fun Tensor.Sorted.component1(): Tensor = values

public operator fun Tensor.Sorted.component2(): Tensor = indices

public operator fun Tensor.Extremes.component1(): Tensor = values

public operator fun Tensor.Extremes.component2(): Tensor = indices

public operator fun HookedTransformer.RunWithCache.component1(): Tensor = logits

public operator fun HookedTransformer.RunWithCache.component2(): ActivationCache = cache

public operator fun Forward.LogitsAndLoss.component1(): Tensor = logits

public operator fun Forward.LogitsAndLoss.component2(): Double = loss

public operator fun Forward.Gradients.component1(): Double = value

public operator fun Forward.Gradients.component2(): ActivationCache = activations

public operator fun Forward.Gradients.component3(): ActivationCache = gradients

public operator fun FactoredMatrix.Svd.component1(): Tensor = u

public operator fun FactoredMatrix.Svd.component2(): Tensor = s

public operator fun FactoredMatrix.Svd.component3(): Tensor = v

public operator fun TestPrompt.Candidate.component1(): String = token

public operator fun TestPrompt.Candidate.component2(): Int = rank

public operator fun TestPrompt.Candidate.component3(): Double = logit

public operator fun TestPrompt.Candidate.component4(): Double = prob

public operator fun Sae.Encoded.component1(): Tensor = features

public operator fun Sae.Encoded.component2(): Tensor = reconstruction

public operator fun Sae.Encoded.component3(): Tensor = active

public operator fun FeatureAttribution.Attribution.component1(): Int = position

public operator fun FeatureAttribution.Attribution.component2(): Int = feature

public operator fun FeatureAttribution.Attribution.component3(): Double = activation

public operator fun FeatureAttribution.Attribution.component4(): Double = effect

public operator fun TutorialMetrics.component1(): L0 = l0

public operator fun TutorialMetrics.component2(): ExplainedVariance = explainedVariance

public operator fun TutorialMetrics.component3(): DownstreamLoss = loss

public operator fun DownstreamLoss.component1(): Double = original()

public operator fun DownstreamLoss.component2(): Double = reconstructed()

public operator fun DownstreamLoss.component3(): Double = zero()

public operator fun FeatureDashboard.Entry.component1(): Int = index

public operator fun FeatureDashboard.Entry.component2(): Double = value

public operator fun FeatureDashboard.Entry.component3(): Double = second
