/**
 * GPT-2: its configuration, names on the hub, names of weights, weight processing and TorchScript sources
 * ({@code embed.py}, {@code block.py} and {@code unembed.py} among the resources).
 */
package io.github.panascope.families.gpt2;
