/**
 * Families of models, and the construction of their models as TorchScript. A family is one class that says what its
 * {@code config.json} means and how its files name the weights; {@link io.github.panascope.families.Families} lists
 * them. No other package knows their names, and nothing else here does.
 *
 * <ul>
 *   <li>{@link io.github.panascope.families.ModelFamily}: the knowledge about one family
 *   <li>{@link io.github.panascope.families.ModelWeights}: the weights of a model, part by part
 *   <li>{@link io.github.panascope.families.Script}: the generator, with its sources among the resources
 *   <li>{@link io.github.panascope.families.Parameters}: the weights under TransformerLens's names
 * </ul>
 *
 * <pre>{@code
 * config.json -> ModelFamily.parse -> TransformerConfig --------------+
 *                                                                     v
 * StateDict, TensorNames, WeightProcessing -> Families -> ModelWeights -> Script -> ScriptModule with hook points
 *                                                                                    |
 *                                               name of a weight -> Parameters <-----+
 * }</pre>
 */
package io.github.panascope.families;
