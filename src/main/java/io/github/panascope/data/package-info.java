/**
 * Documents and tables: {@link io.github.panascope.data.Dataset} reads text or token ids from Parquet, JSON Lines, JSON
 * arrays and plain text, of a file, a folder or a dataset on the hub; {@link io.github.panascope.data.ParquetWriter}
 * writes tables.
 *
 * <pre>
 * hub id, folder or file -&gt; Dataset -&gt; forEach(text) or forEachTokens(ids)
 * </pre>
 */
@NullMarked
package io.github.panascope.data;

import org.jspecify.annotations.NullMarked;
