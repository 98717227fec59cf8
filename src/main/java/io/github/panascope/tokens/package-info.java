/**
 * Text to token ids and back, without a model: {@link io.github.panascope.tokens.Tokenizer} is GPT-2's byte-level BPE,
 * and {@link io.github.panascope.tokens.TokenDataset} rows of equal length, made of documents as TransformerLens or
 * SAELens makes them.
 *
 * <pre>
 * documents -&gt; Tokenizer -&gt; ChunkingStrategy or SequencePacker -&gt; TokenDataset
 *           -&gt; batch(first, end): Tensor [rows, pos]
 * </pre>
 */
@NullMarked
package io.github.panascope.tokens;

import org.jspecify.annotations.NullMarked;
