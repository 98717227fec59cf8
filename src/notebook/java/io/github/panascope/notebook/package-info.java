/**
 * Panascope in a Jupyter notebook, with the kernel JJava: what a cell ends with is shown as a table, a picture or a
 * page, tensors need no scope, and long work shows its progress in one line. This package is an artefact of its own,
 * {@code panascope-notebook}; the kernel finds it on the class path and installs it.
 *
 * <ul>
 *   <li>{@link io.github.panascope.notebook.Notebook}: what is kept over cells, progress, pages within a cell
 *   <li>{@link io.github.panascope.notebook.PanascopeExtension}: what the kernel installs
 * </ul>
 */
@NullMarked
package io.github.panascope.notebook;

import org.jspecify.annotations.NullMarked;
