package io.github.panascope.sae;

import io.github.panascope.hub.ConfigFile;
import io.github.panascope.hub.InputException;
import io.github.panascope.hub.Nearest;
import io.github.panascope.hub.Safetensors;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * How an SAE turns its input into features and features into its output. One case for each architecture, holding its
 * weights; switches over it are exhaustive.
 */
sealed interface Architecture permits Architecture.Standard {
    /** Names that SAELens knows; those without a case here are refused by name. */
    List<String> KNOWN = List.of("standard", "gated", "jumprelu", "topk", "batchtopk", "matryoshka_batchtopk", "transcoder", "skip_transcoder",
            "jumprelu_transcoder", "jumprelu_skip_transcoder", "matching_pursuit", "temporal", "abstopk");

    /**
     * relu(x W_enc + b_enc), and a W_dec + b_dec.
     *
     * @param wEnc [d_in, d_sae]
     * @param bEnc [d_sae]
     * @param wDec [d_sae, d_in]
     * @param bDec [d_in]
     */
    record Standard(Tensor wEnc, Tensor bEnc, Tensor wDec, Tensor bDec) implements Architecture {
        /** Features [n, d_sae] of rows [n, d_in] from which b_dec is subtracted already, where that applies. */
        @Override
        public Tensor encode(Tensor rows) {
            return bEnc.addmm(rows, wEnc).relu();
        }

        @Override
        public Tensor decode(Tensor features) {
            return bDec.addmm(features, wDec);
        }
    }

    /** Features [n, d_sae] of prepared rows [n, d_in]. */
    Tensor encode(Tensor rows);

    /** Rows [n, d_in] of features [n, d_sae]. */
    Tensor decode(Tensor features);

    /** [d_in]. */
    Tensor bDec();

    /** Refuses an architecture that is not understood, by name. */
    static void requireSupported(ConfigFile file, String name) {
        if (name.equals("standard")) return;
        if (KNOWN.contains(name)) {
            throw new InputException(file.place() + ": the architecture '" + name + "' is not supported yet; 'standard' is.");
        }
        throw new InputException(file.place() + ": the architecture '" + name + "' is not known." + Nearest.advice(name, KNOWN));
    }

    /** Reads the weights that a configuration calls for, and refuses a file that lacks some or holds others. */
    static Architecture load(Safetensors file, SaeConfig config, Device device, DType dtype, TensorScope keep) {
        int in = config.dIn(), sae = config.dSae();
        Map<String, Shape> wanted = Map.of("W_enc", Shape.of(in, sae), "b_enc", Shape.of(sae), "W_dec", Shape.of(sae, in), "b_dec", Shape.of(in));
        requireOnly(file, wanted.keySet());
        try (var _ = TensorScope.open()) {
            java.util.function.Function<String, Tensor> weight = name -> keep.adopt(file.weight(name, wanted.get(name)).to(dtype).to(device));
            return new Standard(weight.apply("W_enc"), weight.apply("b_enc"), weight.apply("W_dec"), weight.apply("b_dec"));
        }
    }

    private static void requireOnly(Safetensors file, Set<String> wanted) {
        Set<String> left = new TreeSet<>(file.names());
        left.removeAll(wanted);
        if (left.remove("scaling_factor")) requireOnes(file);
        if (!left.isEmpty()) throw new InputException(file.file() + " holds tensors that a standard SAE does not have: " + String.join(", ", left) + ". Is it of another architecture?");
    }

    /** Old files carry a factor for each feature; all ones change nothing, anything else is another SAE. */
    private static void requireOnes(Safetensors file) {
        try (var _ = TensorScope.open()) {
            for (float factor : file.tensor("scaling_factor").toFloats()) {
                if (factor != 1f) throw new InputException(file.file() + ": 'scaling_factor' is not all ones; fine-tuned SAEs are not supported yet.");
            }
        }
    }
}
