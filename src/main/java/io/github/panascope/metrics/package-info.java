/**
 * How sparse an SAE is and what putting it into a model costs: accumulators in double precision that end in records.
 */
@NullMarked
package io.github.panascope.metrics;

import org.jspecify.annotations.NullMarked;
