/** Finds the demo bundle, a small model, an SAE and texts, in the artefact {@code panascope-demo}. */
@NullMarked
package io.github.panascope.demo;

import org.jspecify.annotations.NullMarked;
