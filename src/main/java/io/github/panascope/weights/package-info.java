/**
 * Files of weights as named tensors. The format of a file (safetensors, PyTorch's archive of pickles, or TorchScript)
 * is recognised by its first bytes, and the file is mapped into memory, so that a tensor is a view of it. No code in a
 * file is ever executed.
 *
 * <ul>
 *   <li>{@link io.github.panascope.weights.StateDict}: the named tensors of a file, or of several files with an index
 *   <li>{@link io.github.panascope.weights.Safetensors}: the safetensors format, which can also be written
 * </ul>
 *
 * <pre>{@code
 * file or index -> StateDict.open(file, scope) -> names(), shape(name), dtype(name)
 *                                              -> weight(name, shape) -> Tensor over the mapped file
 *
 * Map<String, Tensor> -> Safetensors.write(file, tensors) -> file
 * }</pre>
 */
@NullMarked
package io.github.panascope.weights;

import org.jspecify.annotations.NullMarked;
