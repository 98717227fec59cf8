package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.weights.StateDict;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;

/** The file of a model's weights, read by TransformerLens's names of the parts, with a record of what was read. */
final class WeightFile {
    private final StateDict file;
    private final TensorNames names;
    private final TransformerConfig config;
    private final String prefix;
    private final Set<String> used = new HashSet<>();

    WeightFile(StateDict file, TensorNames names, TransformerConfig config) {
        this.file = file;
        this.names = names;
        this.config = config;
        this.prefix = names.prefixes().stream()
                .filter(each -> file.has(each + names.model().get("embed.W_E")))
                .findFirst()
                .orElse(names.prefixes().getLast());
    }

    /** Returns a part outside of blocks, over the mapped file. */
    Tensor ofModel(String part, long... sizes) {
        return take(prefix + names.model().get(part), sizes);
    }

    /** Returns a vector of a block. */
    Tensor vector(int layer, String part, long size) {
        return take(prefix + names.ofBlock(layer, part), size);
    }

    /** Returns a product of a block as [in, out], whatever the layout of the file, as a view of it. */
    Tensor product(int layer, String part, long in, long out) {
        String name = prefix + names.ofBlock(layer, part);
        return names.transposed() ? take(name, out, in).t() : take(name, in, out);
    }

    /** Returns the unembedding as [d_vocab, d_model]; null if it is the embedding. */
    Tensor unembed() {
        String own = null;
        for (String name : names.unembed()) {
            used.add(name); // files of models that do not need it may hold it
            if (own == null && file.has(name)) own = name;
        }
        if (config.embedding().tied()) return null;
        if (own == null && names.model().containsKey("pos_embed.W_pos")) return null; // GPT-2's files may lack it
        return take(own == null ? names.unembed().getFirst() : own, config.dVocab(), config.dModel());
    }

    private Tensor take(String name, long... sizes) {
        used.add(name);
        return file.weight(name, Shape.of(sizes));
    }

    /** Refuses a file that holds tensors which were not read, as it belongs to another model. */
    void requireAllUsed() {
        Set<String> left = new TreeSet<>(file.names());
        left.removeAll(used);
        left.removeIf(name -> names.ignored().matcher(name).matches());
        if (!left.isEmpty()) {
            throw new InputException(
                    file.file() + " holds tensors that a model of " + config.nLayers() + " layers does not have: "
                            + String.join(", ", left.stream().limit(5).toList())
                            + (left.size() > 5 ? ", ... (" + left.size() + " in all)." : "."));
        }
    }
}
