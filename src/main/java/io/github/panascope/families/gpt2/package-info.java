/**
 * The family of GPT-2: its configuration, its names on the hub, the names and the processing of its weights, and
 * the TorchScript sources ({@code embed.py}, {@code block.py} and {@code unembed.py} among the resources).
 *
 * <ul>
 *   <li>{@link io.github.panascope.families.gpt2.Gpt2}: the entry point, which the other classes of the package serve
 * </ul>
 *
 * <pre>{@code
 * config.json       -> Gpt2Config       -> TransformerConfig
 * file of GPT-2     -> Gpt2Weights      -> ModelWeights --+
 * file of save(...) -> SavedGpt2Weights -> ModelWeights --+-> Gpt2Script -> ScriptModule
 *                                                                               |
 *                                        name of a weight -> Gpt2Parameters <---+
 * }</pre>
 */
package io.github.panascope.families.gpt2;
