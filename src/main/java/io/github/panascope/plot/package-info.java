/**
 * Pictures of results. A picture is a single file that loads no other file.
 *
 * <ul>
 *   <li>{@link io.github.panascope.plot.HeatMap}: a table of numbers as coloured cells
 *   <li>{@link io.github.panascope.plot.CountHistogram}: how often each count occurs, such as L0
 * </ul>
 *
 * <pre>{@code
 * Tensor [rows, columns] -> HeatMap        -> title, labels -> SVG file
 * L0.histogram()         -> CountHistogram -> title, axes   -> SVG file
 * }</pre>
 */
@NullMarked
package io.github.panascope.plot;

import org.jspecify.annotations.NullMarked;
