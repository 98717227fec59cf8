/**
 * Where files come from: the Hugging Face cache and hub, safetensors, configuration files, datasets, and the registry
 * of published SAE releases. Nothing here computes; nothing that is read is ever executed.
 *
 * <p>What a user gave and cannot be used is an {@link io.github.panascope.hub.InputException}: one sentence with the
 * file, the key and what was expected.
 */
package io.github.panascope.hub;
