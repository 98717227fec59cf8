package io.github.panascope.families;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The names that the files of a family have for the weights, by TransformerLens's names of the parts, such as
 * {@code attn.W_O}, and the form that the weights have there.
 *
 * @param prefixes   what may stand before all names but those of the unembedding; the first one that fits a file holds
 * @param model      names of the parts outside of blocks: {@code embed.W_E}, {@code pos_embed.W_pos},
 *     {@code ln_final.w} and {@code ln_final.b}
 * @param unembed    names of the unembedding, without prefix; the first one that a file has holds
 * @param block      name of a block, in which {@code %d} is its index
 * @param parts      names of the parts of a block within it
 * @param heads      the arrangement of queries, keys and values
 * @param transposed true if products are stored as [out, in], as torch.nn.Linear stores them, and not as [in, out]
 * @param oneAdded   true if the weights of norms are stored as their difference from 1
 * @param ignored    names of tensors that are no weights of the model, such as stored masks
 */
public record TensorNames(
        List<String> prefixes,
        Map<String, String> model,
        List<String> unembed,
        String block,
        Map<String, String> parts,
        Heads heads,
        boolean transposed,
        boolean oneAdded,
        Pattern ignored) {
    /** The arrangements of queries, keys and values. */
    public enum Heads {
        /** One tensor {@code attn.W_QKV}: all heads' queries, then all keys, then all values. */
        QKV_SIDE_BY_SIDE,
        /** One tensor {@code attn.W_QKV}: head by head, each with its queries, keys and values. */
        QKV_BY_HEAD,
        /** A tensor for each of queries, keys and values. */
        SEPARATE
    }

    /** Copies the collections. */
    public TensorNames {
        prefixes = List.copyOf(prefixes);
        model = Map.copyOf(model);
        unembed = List.copyOf(unembed);
        parts = Map.copyOf(parts);
    }

    /** The names that Llama introduced, and which most later families have. */
    static final TensorNames LLAMA = new TensorNames(
            List.of("model.", ""),
            Map.of("embed.W_E", "embed_tokens.weight", "ln_final.w", "norm.weight"),
            List.of("lm_head.weight"),
            "layers.%d.",
            Map.ofEntries(
                    Map.entry("ln1.w", "input_layernorm.weight"),
                    Map.entry("ln2.w", "post_attention_layernorm.weight"),
                    Map.entry("attn.W_Q", "self_attn.q_proj.weight"),
                    Map.entry("attn.W_K", "self_attn.k_proj.weight"),
                    Map.entry("attn.W_V", "self_attn.v_proj.weight"),
                    Map.entry("attn.W_O", "self_attn.o_proj.weight"),
                    Map.entry("attn.b_Q", "self_attn.q_proj.bias"),
                    Map.entry("attn.b_K", "self_attn.k_proj.bias"),
                    Map.entry("attn.b_V", "self_attn.v_proj.bias"),
                    Map.entry("attn.b_O", "self_attn.o_proj.bias"),
                    Map.entry("attn.q_norm.w", "self_attn.q_norm.weight"),
                    Map.entry("attn.k_norm.w", "self_attn.k_norm.weight"),
                    Map.entry("mlp.W_gate", "mlp.gate_proj.weight"),
                    Map.entry("mlp.W_in", "mlp.up_proj.weight"),
                    Map.entry("mlp.W_out", "mlp.down_proj.weight")),
            Heads.SEPARATE,
            true,
            false,
            Pattern.compile(".*rotary_emb\\.inv_freq"));

    /**
     * Returns these names with others for some parts of a block.
     *
     * @param others names by part
     * @return the changed names
     */
    TensorNames withParts(Map<String, String> others) {
        Map<String, String> all = new LinkedHashMap<>(parts);
        all.putAll(others);
        return new TensorNames(prefixes, model, unembed, block, all, heads, transposed, oneAdded, ignored);
    }

    /**
     * Returns the name of a part of a block within a file, without its prefix.
     *
     * @param layer the block, from 0
     * @param part  TransformerLens's name within the block
     * @return the name
     */
    String ofBlock(int layer, String part) {
        return block.formatted(layer) + parts.get(part);
    }
}
