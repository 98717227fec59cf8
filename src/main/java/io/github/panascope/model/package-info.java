/**
 * The description of a model, before any of it is loaded: its sizes, the processing of its weights, and the places at
 * which hooks are called, with the shape of the activation at each.
 *
 * <ul>
 *   <li>{@link io.github.panascope.model.TransformerConfig}: the sizes of a transformer
 *   <li>{@link io.github.panascope.model.WeightProcessing}: the steps that are applied to weights
 *   <li>{@link io.github.panascope.model.HookPoint}: a place at which hooks are called
 *   <li>{@link io.github.panascope.model.ActName}: conversion of short names of hook points to full names
 * </ul>
 *
 * <pre>{@code
 * "k6" -> ActName.of -> "blocks.6.attn.hook_k" -> HookPoint.of -> HookPoint -> layer(), axes()
 *                                                                     |
 *                                        TransformerConfig -> shape(config, batch, positions) -> Shape
 * }</pre>
 */
@NullMarked
package io.github.panascope.model;

import org.jspecify.annotations.NullMarked;
