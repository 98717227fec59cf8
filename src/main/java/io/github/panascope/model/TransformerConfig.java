package io.github.panascope.model;

/**
 * The sizes of a transformer, and the other values of its {@code config.json} that determine the computation.
 *
 * @param nLayers               number of blocks
 * @param dModel                width of the residual stream
 * @param nHeads                number of attention heads of a block; divides dModel
 * @param dMlp                  number of neurons of a block
 * @param dVocab                number of tokens of the vocabulary
 * @param nCtx                  longest context, in tokens
 * @param eps                   constant that LayerNorm adds to the variance
 * @param inverseLayerAttnScale true to divide the attention scores of block l by l+1 as well (the stanford-crfm models)
 * @param tieWordEmbeddings     true if the unembedding is the embedding, even where a file contains a separate one
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
    /**
     * Creates a configuration after checking that the sizes are positive and that the heads divide the width evenly.
     *
     * @throws IllegalArgumentException if a size or eps is not positive, or dModel is not a multiple of nHeads
     */
    public TransformerConfig {
        if (nLayers < 1 || dModel < 1 || nHeads < 1 || dMlp < 1 || dVocab < 1 || nCtx < 1 || !(eps > 0))
            throw new IllegalArgumentException("sizes and eps must be positive");
        if (dModel % nHeads != 0)
            throw new IllegalArgumentException("n_embd " + dModel + " is not a multiple of n_head " + nHeads);
    }

    /** {@return the width of one attention head} */
    public int dHead() {
        return dModel / nHeads;
    }
}
