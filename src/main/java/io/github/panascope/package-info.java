/**
 * What every package shares: {@link io.github.panascope.InputException}, thrown where something that the user gave (a
 * file, a name, an option) cannot be used. Its message is one sentence with the place, the value and what to do.
 */
@NullMarked
package io.github.panascope;

import org.jspecify.annotations.NullMarked;
