/**
 * What all packages share: the two exceptions that concern the user, and the version. Panascope loads GPT-2 and a
 * sparse autoencoder (SAE) of it, hooks any activation, and measures what the SAE keeps and loses.
 *
 * <ul>
 *   <li>{@link io.github.panascope.InputException}: a file, a name or an option that the user gave cannot be used; the
 *       message is one sentence with the place, the value and what to do
 *   <li>{@link io.github.panascope.RunInterruptedException}: the thread was interrupted during long work
 *   <li>{@link io.github.panascope.Panascope}: the version of the library
 * </ul>
 *
 * <p>The packages in the order in which data flows through them:
 *
 * <pre>{@code
 * hub -> data -> tokens --------> lens -> metrics, dashboard, plot
 *  |                              ^  ^
 *  +---> weights -> model --------+  +-- sae
 *
 * torch lies below all of them: tensors, operators and modules of libtorch
 * }</pre>
 */
@NullMarked
package io.github.panascope;

import org.jspecify.annotations.NullMarked;
