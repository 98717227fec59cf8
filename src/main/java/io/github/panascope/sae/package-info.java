/**
 * Sparse autoencoders as SAELens publishes them: configuration, weights, encode and decode, and their place in a run
 * ({@link io.github.panascope.sae.Sae#attachment}). An SAE is immutable; nothing here
 * ever writes to one.
 */
@NullMarked
package io.github.panascope.sae;

import org.jspecify.annotations.NullMarked;
