/**
 * How sparse an SAE is and what putting it into a model costs: accumulators in double precision that end in records.
 */
package io.github.panascope.metrics;
