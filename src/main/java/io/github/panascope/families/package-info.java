/**
 * Families of models. A family knows the meaning of its configuration and weight files and builds its models as
 * TorchScript; each family has a package of its own, such as {@code families.gpt2}. No other package knows its names;
 * {@code lens.ModelFiles.FAMILIES} lists the families.
 *
 * <ul>
 *   <li>{@link io.github.panascope.families.ModelFamily}: the knowledge about one family
 *   <li>{@link io.github.panascope.families.ModelWeights}: the processed weights of a model, part by part
 * </ul>
 *
 * <pre>{@code
 * config.json -> parse -> TransformerConfig ------------+
 *                                                       v
 * StateDict, WeightProcessing -> weights -> ModelWeights -> build -> ScriptModule with hook points
 * }</pre>
 */
package io.github.panascope.families;
