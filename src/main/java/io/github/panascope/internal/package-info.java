/**
 * Helpers of the other packages, not exported by the module: text, JSON and YAML files, files that are replaced whole,
 * templates of pages, and suggestions for misspelt names.
 */
package io.github.panascope.internal;
