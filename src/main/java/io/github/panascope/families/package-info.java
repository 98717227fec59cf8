/**
 * Families of models. {@link io.github.panascope.families.ModelFamily} says what the files of one mean and builds its
 * TorchScript; each family has a package of its own ({@code families.gpt2}), and nothing else knows its names.
 *
 * <pre>
 * config.json -&gt; parse -&gt; TransformerConfig
 * StateDict   -&gt; weights -&gt; ModelWeights -&gt; build -&gt; ScriptModule with hook points
 * </pre>
 */
package io.github.panascope.families;
