/**
 * Sparse autoencoders as SAELens publishes them: configuration, weights, encode and decode. An SAE is immutable; nothing here
 * ever writes to one.
 */
package io.github.panascope.sae;
