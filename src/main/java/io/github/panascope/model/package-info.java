/**
 * What a model is, before any of it is loaded: its sizes ({@link io.github.panascope.model.TransformerConfig}) and how
 * its weights are processed ({@link io.github.panascope.model.WeightProcessing}).
 */
@NullMarked
package io.github.panascope.model;

import org.jspecify.annotations.NullMarked;
