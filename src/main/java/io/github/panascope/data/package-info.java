/**
 * Documents and tables in files. Documents are texts or token ids; they are read one after the other from Parquet, JSON
 * Lines, JSON arrays or plain text, in a single file, a folder, or a dataset on the hub, so that a corpus need not fit
 * into memory. Tables are written as Parquet.
 *
 * <ul>
 *   <li>{@link io.github.panascope.data.TextDataset}: reads documents
 *   <li>{@link io.github.panascope.data.ParquetWriter}: writes tables
 * </ul>
 *
 * <pre>{@code
 * file, folder or hub id -> TextDataset -> forEach(String)       texts
 *                                   -> forEachTokens(int[])  token ids
 *
 * rows -> ParquetWriter -> file
 * }</pre>
 */
@NullMarked
package io.github.panascope.data;

import org.jspecify.annotations.NullMarked;
