/** The demo bundle, in the artefact {@code panascope-demo}: a small model, an SAE and texts. */
@NullMarked
package io.github.panascope.demo;

import org.jspecify.annotations.NullMarked;
