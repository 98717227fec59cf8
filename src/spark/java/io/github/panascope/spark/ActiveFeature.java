package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A feature that is active at a token.
 *
 * @param position   the position of the token in its row, from 0
 * @param token      the text of the token
 * @param feature    the number of the feature
 * @param activation the activation
 */
record ActiveFeature(int position, String token, int feature, float activation) {
    /**
     * Runs a row by itself, so that the numbers depend on no other row.
     *
     * @param sae       the SAE, as published or as dashboards show it
     * @param row       the token ids of the row
     * @param chosen    the features that are wanted, ascending; null for all
     * @param endOfText true to include positions of special tokens
     * @return what is not zero, by position and feature
     * @throws InputException if the SAE has no such feature
     */
    static List<ActiveFeature> of(
            Executor.Loaded loaded, Sae sae, int[] row, int @Nullable [] chosen, boolean endOfText) {
        Tokenizer tokenizer = loaded.model().tokenizer();
        float[] values = activations(loaded, sae, row, chosen);
        int width = values.length / row.length;
        List<ActiveFeature> active = new ArrayList<>();
        for (int position = 0; position < row.length; position++) {
            if (tokenizer.isSpecial(row[position]) && !endOfText) continue;
            String token = tokenizer.decode(row[position]);
            for (int i = 0; i < width; i++) {
                float value = values[position * width + i];
                if (value != 0) active.add(new ActiveFeature(position, token, chosen == null ? i : chosen[i], value));
            }
        }
        return active;
    }

    /** Returns the activations of the chosen features, one position after the other. */
    private static float[] activations(Executor.Loaded loaded, Sae sae, int[] row, int @Nullable [] chosen) {
        try (var _ = Torch.singleThreaded();
                var _ = TensorScope.open()) {
            Tensor activation = loaded.model()
                    .forward(DocumentRows.tensor(loaded, row))
                    .activation(sae.config().hookName());
            Tensor features =
                    sae.encode(activation).reshape(row.length, sae.config().dSae());
            if (chosen != null) {
                for (int feature : chosen)
                    if (feature < 0 || feature >= sae.config().dSae())
                        throw new InputException("feature " + feature + " is outside the SAE's features 0 to "
                                + (sae.config().dSae() - 1) + ".");
                long[] columns = Arrays.stream(chosen).asLongStream().toArray();
                features = features.indexSelect(1, Tensor.of(columns, Shape.of(columns.length), activation.device()));
            }
            return features.to(DType.FLOAT32).toFloats();
        }
    }
}
