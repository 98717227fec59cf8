/**
 * Tensors, operators and TorchScript modules of libtorch, called through a small C library (the shim, native/). No
 * other package calls native code.
 *
 * <p>Every native object belongs to a {@link io.github.panascope.torch.TensorScope} and is freed when that scope
 * closes, never by the garbage collector. Results belong to the innermost scope that the calling thread has open;
 * {@link io.github.panascope.torch.TensorScope#adopt adopt} or
 * {@link io.github.panascope.torch.Tensor#promote promote} keeps one longer. Operators run without gradients, unless
 * {@link io.github.panascope.torch.GradMode#enable} switches them on for a thread. Only one thread may use the tensors
 * of a confined scope; all threads may read those of a shared scope, but none may write to them while others read.
 *
 * <ul>
 *   <li>{@link io.github.panascope.torch.Tensor}: a handle to a tensor, with the common operators as methods
 *   <li>{@link io.github.panascope.torch.TensorScope}: owns tensors and modules, and frees them
 *   <li>{@link io.github.panascope.torch.Shape}, {@link io.github.panascope.torch.DType},
 *       {@link io.github.panascope.torch.Device}: what a tensor is made of
 *   <li>{@link io.github.panascope.torch.Op}: any operator of libtorch, by name
 *   <li>{@link io.github.panascope.torch.ScriptModule}: a TorchScript module, compiled from source or loaded
 *   <li>{@link io.github.panascope.torch.RunHooks}, {@link io.github.panascope.torch.ActivationHook}: hook points of a
 *       module, and what is called there
 *   <li>{@link io.github.panascope.torch.GradMode}: gradients
 *   <li>{@link io.github.panascope.torch.Transfer}, {@link io.github.panascope.torch.ReadAhead}: copies from a device
 *       that do not block the caller
 *   <li>{@link io.github.panascope.torch.Dlpack}, {@link io.github.panascope.torch.ArrowColumn}: tensors for other
 *       native libraries, without a copy
 *   <li>{@link io.github.panascope.torch.MappedFile}: tensors over a file mapped into memory
 *   <li>{@link io.github.panascope.torch.Torch}: version, threads, seed and live objects of libtorch
 * </ul>
 *
 * <pre>{@code
 * float[], MappedFile, DLPack, Arrow -> Tensor -> operator or ScriptModule.call -> Tensor in the innermost scope
 *                                                    |          ^                    |
 *                                       hook point:  v          | replacement        +-> toFloats(), segment()
 *                                          ActivationHook.apply(activation)          +-> promote(): the outer scope
 *                                                                                    +-> toDlpack(), toArrow()
 * }</pre>
 */
@NullMarked
package io.github.panascope.torch;

import org.jspecify.annotations.NullMarked;
