/**
 * Helpers of the other packages, which the module does not export: text, JSON and YAML files, files that are replaced
 * as a whole, templates of pages, text in Python's form, suggestions for misspelt names, exact sums, and the form in
 * which results travel.
 *
 * <ul>
 *   <li>{@link io.github.panascope.internal.TextFile}, {@link io.github.panascope.internal.ConfigFile} and
 *       {@link io.github.panascope.internal.Yaml}: files that are read
 *   <li>{@link io.github.panascope.internal.AtomicFile}: files that are written
 *   <li>{@link io.github.panascope.internal.PageTemplate}: HTML pages
 *   <li>{@link io.github.panascope.internal.PythonText}: numbers and texts as Python prints them
 *   <li>{@link io.github.panascope.internal.JsonError} and {@link io.github.panascope.internal.Suggestions}: parts of
 *       error messages
 *   <li>{@link io.github.panascope.internal.ExactSum} and {@link io.github.panascope.internal.CompactForm}: results of
 *       parts that are merged, and their bytes
 * </ul>
 *
 * <pre>{@code
 * file -> TextFile -> ConfigFile -> size(key), text(key), ... -> value
 *                               -> InputException with JsonError and Suggestions
 *
 * template -> PageTemplate -> page -> AtomicFile -> file
 *
 * result -> CompactForm.write -> bytes -> CompactForm.read -> result, or InputException
 * }</pre>
 */
package io.github.panascope.internal;
