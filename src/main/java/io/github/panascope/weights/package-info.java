/**
 * Files of weights as named tensors: safetensors, PyTorch's zip archives of pickles and of TorchScript, and the shards
 * of either. {@link io.github.panascope.weights.StateDict#open} recognises the format and maps the file into memory;
 * no code in a file is ever run.
 *
 * <pre>
 * file -&gt; StateDict (names, dtypes, shapes) -&gt; weight(name, shape) -&gt; Tensor that views the mapped file
 * </pre>
 */
@NullMarked
package io.github.panascope.weights;

import org.jspecify.annotations.NullMarked;
