/**
 * Tensors, operators and TorchScript modules of libtorch: the only package that knows C.
 *
 * <p>Every native object belongs to a {@link io.github.panascope.torch.TensorScope} and is freed when that scope
 * closes, never by the garbage collector. Results land in the innermost scope that the calling thread has open; keeping
 * one longer is said explicitly, by {@link io.github.panascope.torch.TensorScope#adopt adopt} or
 * {@link io.github.panascope.torch.Tensor#promote promote}.
 *
 * <p>Operators run without gradients, unless {@link io.github.panascope.torch.GradMode#enable} switches them on for a
 * thread. Nothing here is thread-safe for writing: tensors of a confined scope belong to its thread, those of a shared
 * scope may be read by all.
 */
@NullMarked
package io.github.panascope.torch;

import org.jspecify.annotations.NullMarked;
