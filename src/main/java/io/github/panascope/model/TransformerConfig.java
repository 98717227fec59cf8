package io.github.panascope.model;

import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The description of a transformer: everything in its {@code config.json} that determines the computation. A family
 * reads its files into this description, and one generator builds every model from it.
 *
 * @param nLayers   number of blocks
 * @param dModel    width of the residual stream
 * @param dVocab    number of tokens of the vocabulary
 * @param nCtx      longest context, in tokens
 * @param norm      the normalisation of the residual stream where it is read
 * @param attention the attention of a block
 * @param rotary    the rotation of queries and keys by their position; null for learned positions, W_pos
 * @param mlp       the MLP of a block
 * @param parallel  true if the MLP of a block reads the stream that enters the block, beside attention, so that there
 *     is no {@code hook_resid_mid}
 * @param embedding the embedding and the unembedding
 */
public record TransformerConfig(
        int nLayers,
        int dModel,
        int dVocab,
        int nCtx,
        Norm norm,
        Attention attention,
        @Nullable Rotary rotary,
        Mlp mlp,
        boolean parallel,
        Embedding embedding) {
    /** The kinds of normalisation. */
    public enum NormKind {
        /** LayerNorm: minus the mean, divided by the standard deviation, times a weight, plus a bias. */
        LAYER,
        /** RMSNorm: divided by the root of the mean square, times a weight. */
        RMS
    }

    /**
     * The normalisation of the residual stream.
     *
     * @param kind         the formula
     * @param eps          constant that is added to the variance or the mean square
     * @param afterOutputs true if the outputs of attention and MLP are normalised as well, before they are added to the
     *     stream ({@code ln1_post} and {@code ln2_post})
     */
    public record Norm(NormKind kind, double eps, boolean afterOutputs) {}

    /**
     * The attention of a block.
     *
     * @param nHeads            number of query heads
     * @param nKeyValueHeads    number of key and value heads; divides nHeads
     * @param grouped           true if TransformerLens names the weights of keys and values {@code _W_K} and
     *     {@code _W_V}, as it does wherever query heads may share them
     * @param dHead             width of a head
     * @param scale             the number that scores are divided by
     * @param inverseLayerScale true to divide the scores of block l by l+1 as well (the stanford-crfm models)
     * @param biases            true if queries, keys and values have a bias
     * @param outputBias        true if the output has a bias
     * @param queryKeyNorm      true if queries and keys are normalised by RMSNorm ({@code q_norm} and {@code k_norm})
     * @param softCap           the bound of the scores, cap·tanh(score/cap); 0 for none
     * @param windows           for each block, the number of positions that a query sees, its own included; 0 for all
     *     of them; empty if no block has a window
     */
    public record Attention(
            int nHeads,
            int nKeyValueHeads,
            boolean grouped,
            int dHead,
            double scale,
            boolean inverseLayerScale,
            boolean biases,
            boolean outputBias,
            boolean queryKeyNorm,
            double softCap,
            List<Integer> windows) {
        /**
         * Checks the sizes.
         *
         * @throws IllegalArgumentException if a size is not positive, or nHeads is not a multiple of nKeyValueHeads
         */
        public Attention {
            if (nHeads < 1 || nKeyValueHeads < 1 || dHead < 1 || !(scale > 0))
                throw new IllegalArgumentException("sizes and scale of attention must be positive");
            if (nHeads % nKeyValueHeads != 0)
                throw new IllegalArgumentException(
                        nHeads + " query heads cannot share " + nKeyValueHeads + " key and value heads evenly");
            windows = List.copyOf(windows);
        }

        /**
         * Returns the number of positions that a query of a block sees.
         *
         * @param layer the block, from 0
         * @return the number of positions, the query's own included; 0 for all of them
         */
        public int window(int layer) {
            return windows.isEmpty() ? 0 : windows.get(layer);
        }
    }

    /** The ways in which the frequencies of a rotation are changed for contexts longer than those of the training. */
    public enum RotaryScaling {
        /** They are not changed. */
        NONE,
        /** All are divided by the factor. */
        LINEAR,
        /** Low frequencies are divided by the factor, high ones stay, those between are blended (Llama 3.1). */
        LLAMA3
    }

    /**
     * The rotation of queries and keys by an angle that grows with the position. Component i of the first half of the
     * rotated components is paired with component i of the second half.
     *
     * @param dims            how many components of a head are rotated, the first ones; even
     * @param base            the base of the frequencies, base^(-2i/dims)
     * @param localBase       the base in blocks with a window, where there is no scaling then; 0 if they rotate as the
     *     other blocks do
     * @param scaling         the change of the frequencies
     * @param factor          the factor of the scaling
     * @param lowFreqFactor   for LLAMA3, originalContext/wavelength below which a frequency is low
     * @param highFreqFactor  for LLAMA3, originalContext/wavelength above which a frequency is high
     * @param originalContext for LLAMA3, the context of the training, in tokens
     */
    public record Rotary(
            int dims,
            double base,
            double localBase,
            RotaryScaling scaling,
            double factor,
            double lowFreqFactor,
            double highFreqFactor,
            int originalContext) {
        /**
         * Checks the number of components.
         *
         * @throws IllegalArgumentException if it is odd or not positive, or if a base is not positive
         */
        public Rotary {
            if (dims < 2 || dims % 2 != 0)
                throw new IllegalArgumentException("the number of rotated components must be even, not " + dims);
            if (!(base > 0) || !(localBase >= 0)) throw new IllegalArgumentException("rotary bases must be positive");
        }

        /**
         * Creates a rotation whose frequencies are the same in all blocks and not scaled.
         *
         * @param dims how many components of a head are rotated, the first ones; even
         * @param base the base of the frequencies
         */
        public Rotary(int dims, double base) {
            this(dims, base, 0, RotaryScaling.NONE, 1, 1, 1, 1);
        }
    }

    /** The nonlinearities of MLPs. */
    public enum Activation {
        /** x·Φ(x), with the error function. */
        GELU,
        /** GELU in the approximation by tanh, which TransformerLens calls gelu_new and gelu_pytorch_tanh. */
        GELU_TANH,
        /** x·sigmoid(x). */
        SILU
    }

    /**
     * The MLP of a block.
     *
     * @param dMlp       number of neurons
     * @param activation the nonlinearity
     * @param gated      true if the activation of x·W_gate is multiplied by x·W_in ({@code mlp.hook_pre} and
     *     {@code mlp.hook_pre_linear})
     */
    public record Mlp(int dMlp, Activation activation, boolean gated) {}

    /**
     * The embedding and the unembedding.
     *
     * @param scale    the factor of W_E, rounded to the model's dtype before it is used; 1 for none
     * @param tied     true if the unembedding is the embedding without its factor, even where a file contains a
     *     separate one
     * @param logitCap the bound of the logits, cap·tanh(logit/cap); 0 for none
     */
    public record Embedding(double scale, boolean tied, double logitCap) {}

    /**
     * Checks that the sizes are positive.
     *
     * @throws IllegalArgumentException if a size or eps is not positive, if windows are not those of all blocks, or if
     *     more components are rotated than a head has
     */
    public TransformerConfig {
        if (nLayers < 1 || dModel < 1 || mlp.dMlp < 1 || dVocab < 1 || nCtx < 1 || !(norm.eps > 0))
            throw new IllegalArgumentException("sizes and eps must be positive");
        if (!attention.windows.isEmpty() && attention.windows.size() != nLayers)
            throw new IllegalArgumentException(
                    "there are windows of " + attention.windows.size() + " blocks, and " + nLayers + " blocks");
        if (rotary != null && rotary.dims > attention.dHead)
            throw new IllegalArgumentException(
                    "a head of " + attention.dHead + " components has no " + rotary.dims + " to rotate");
    }

    /**
     * Returns the description of a GPT-2.
     *
     * @param nLayers           number of blocks
     * @param dModel            width of the residual stream
     * @param nHeads            number of heads; divides dModel
     * @param dMlp              number of neurons of a block
     * @param dVocab            number of tokens of the vocabulary
     * @param nCtx              longest context, in tokens
     * @param eps               constant that LayerNorm adds to the variance
     * @param inverseLayerScale true to divide the scores of block l by l+1 as well
     * @param tied              true if the unembedding is the embedding
     * @return the description
     * @throws IllegalArgumentException if a size or eps is not positive, or dModel is not a multiple of nHeads
     */
    public static TransformerConfig gpt2(
            int nLayers,
            int dModel,
            int nHeads,
            int dMlp,
            int dVocab,
            int nCtx,
            double eps,
            boolean inverseLayerScale,
            boolean tied) {
        if (nHeads < 1 || dModel % nHeads != 0)
            throw new IllegalArgumentException("n_embd " + dModel + " is not a multiple of n_head " + nHeads);
        int dHead = dModel / nHeads;
        return new TransformerConfig(
                nLayers,
                dModel,
                dVocab,
                nCtx,
                new Norm(NormKind.LAYER, eps, false),
                new Attention(
                        nHeads,
                        nHeads,
                        false,
                        dHead,
                        Math.sqrt(dHead),
                        inverseLayerScale,
                        true,
                        true,
                        false,
                        0,
                        Collections.emptyList()),
                null,
                new Mlp(dMlp, Activation.GELU_TANH, false),
                false,
                new Embedding(1, tied, 0));
    }

    /** {@return the number of query heads of a block} */
    public int nHeads() {
        return attention.nHeads;
    }

    /** {@return the number of key and value heads of a block} */
    public int nKeyValueHeads() {
        return attention.nKeyValueHeads;
    }

    /** {@return the width of one attention head} */
    public int dHead() {
        return attention.dHead;
    }

    /** {@return the number of neurons of a block} */
    public int dMlp() {
        return mlp.dMlp;
    }

    /** {@return the constant that is added to the variance or the mean square} */
    public double eps() {
        return norm.eps;
    }

    /** {@return whether the residual stream is normalised by RMSNorm, which neither centres nor has biases} */
    public boolean isRms() {
        return norm.kind == NormKind.RMS;
    }
}
