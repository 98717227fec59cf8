package io.github.panascope.model;

/**
 * The sizes of a transformer, and what else its {@code config.json} says of the mathematics.
 *
 * @param nLayers                 number of blocks
 * @param dModel                  width of the residual stream
 * @param nHeads                  attention heads of a block; divides dModel
 * @param dMlp                    neurons of a block
 * @param dVocab                  number of tokens
 * @param nCtx                    longest context, in tokens
 * @param eps                     added to the variance in LayerNorm
 * @param inverseLayerAttnScale   whether block l divides its attention scores by l+1 too (the stanford-crfm models)
 * @param tieWordEmbeddings       whether the unembedding is the embedding, even where a file holds another
 */
public record TransformerConfig(
        int nLayers,
        int dModel,
        int nHeads,
        int dMlp,
        int dVocab,
        int nCtx,
        double eps,
        boolean inverseLayerAttnScale,
        boolean tieWordEmbeddings) {
    /** Checks that the heads share the width evenly. */
    public TransformerConfig {
        if (nLayers < 1 || dModel < 1 || nHeads < 1 || dMlp < 1 || dVocab < 1 || nCtx < 1 || !(eps > 0))
            throw new IllegalArgumentException("sizes and eps must be positive");
        if (dModel % nHeads != 0)
            throw new IllegalArgumentException("n_embd " + dModel + " is not a multiple of n_head " + nHeads);
    }

    /** Width of one attention head. */
    public int dHead() {
        return dModel / nHeads;
    }
}
