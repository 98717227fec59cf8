package io.github.panascope.lens;

import io.github.panascope.hub.Nearest;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Activations that a run kept, by hook point name, in the order in which the run reached them. The tensors belong to the
 * scope that was innermost when the run began, and share memory with what flowed on: an edit in place shows in both.
 */
public final class ActivationCache {
    private final Map<String, Tensor> activations = new LinkedHashMap<>();

    ActivationCache() {}

    void put(String name, Tensor activation) {
        activations.put(name, activation);
    }

    /**
     * The activation at a hook point.
     *
     * @throws IllegalArgumentException if the run did not keep it
     */
    public Tensor get(String name) {
        Tensor activation = activations.get(name);
        if (activation == null) {
            throw new IllegalArgumentException("the cache does not hold '" + name + "'." + Nearest.advice(name, activations.keySet()) + " It holds " + activations.size() + " activations.");
        }
        return activation;
    }

    /** Whether it was kept. */
    public boolean has(String name) {
        return activations.containsKey(name);
    }

    /** The names of all that were kept, in order. */
    public List<String> names() {
        return new ArrayList<>(activations.keySet());
    }
}
