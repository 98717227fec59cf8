/**
 * Conversion of texts to token ids and back, without a model. A tokenizer converts single texts; a token dataset makes
 * rows of equal length from many documents, in the ways of TransformerLens and SAELens, as a model reads them.
 *
 * <ul>
 *   <li>{@link io.github.panascope.tokens.Tokenizer}: byte pair encodings, GPT-2's and those of other models
 *   <li>{@link io.github.panascope.tokens.TokenDataset}: rows of token ids, made from documents
 *   <li>{@link io.github.panascope.tokens.ChunkingStrategy}: how TransformerLens joins and cuts documents
 * </ul>
 *
 * <pre>{@code
 * tokenizer.json, tokenizer.model, or vocab.json and merges.txt -> Tokenizer
 *
 * documents, Tokenizer, ChunkingStrategy -> tokenizeAndConcatenate  --+
 * documents, Tokenizer                   -> concatAndBatchSequences --+-> TokenDataset
 * token ids                              -> ofTokens                --+        |
 *                                                                     batch(start, end): Tensor [rows, pos]
 * }</pre>
 */
@NullMarked
package io.github.panascope.tokens;

import org.jspecify.annotations.NullMarked;
