/**
 * Pictures of results. A picture is a single file that loads no other file.
 *
 * <ul>
 *   <li>{@link io.github.panascope.plot.HeatMap}: a table of numbers as coloured cells
 * </ul>
 *
 * <pre>{@code
 * Tensor [rows, columns] -> HeatMap -> title, labels -> SVG file
 * }</pre>
 */
@NullMarked
package io.github.panascope.plot;

import org.jspecify.annotations.NullMarked;
