package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.torch.Tensor;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Stacked weights, factored matrices and composition scores against TransformerLens. */
@OnEachDevice
class WeightsTest extends SurfaceFixture {
    @Test
    void stackedWeightsAreTheirs() {
        Weights weights = model.weights();
        Map<String, Tensor> stacks = Map.ofEntries(
                Map.entry("W_Q", weights.wQ()),
                Map.entry("W_K", weights.wK()),
                Map.entry("W_V", weights.wV()),
                Map.entry("W_O", weights.wO()),
                Map.entry("b_Q", weights.bQ()),
                Map.entry("b_K", weights.bK()),
                Map.entry("b_V", weights.bV()),
                Map.entry("b_O", weights.bO()),
                Map.entry("W_in", weights.wIn()),
                Map.entry("b_in", weights.bIn()),
                Map.entry("W_out", weights.wOut()),
                Map.entry("b_out", weights.bOut()));
        stacks.forEach((name, stack) -> Golden.assertClose(
                expected.tensor("sums/" + name), stack.mul(stack).sum(-1, false), name));
    }

    @Test
    void embeddingsOfTokensAndPositionsAreStacked() {
        Weights weights = model.weights();
        assertEquals(
                model.config().dVocab() + model.config().nCtx(), weights.wEPos().size(0));
    }

    @Test
    void singularValuesAndNormsAreTheirs() {
        Weights weights = model.weights();
        Golden.assertClose(expected.tensor("ov/S"), weights.ov().svd().s(), "singular values");
        Golden.assertClose(expected.tensor("ov/norm"), weights.ov().norm(), "norms");
    }

    @Test
    void eigenvaluesAreTheirs() {
        Weights weights = model.weights();
        Tensor values = weights.ov().eigenvalues();
        Golden.assertClose(
                expected.tensor("ov/eigenvalue_sum"), values.select(-1, 0).sum(-1, false), "traces");
        Tensor sizes = values.mul(values).sum(-1, false).sqrt();
        float[] sorted = sizes.mul(-1).sortDescending().values().mul(-1).toFloats();
        Golden.assertClose(
                expected.tensor("ov/eigenvalue_abs_sorted"), Tensor.of(sorted, sizes.shape()), "eigenvalues");
    }

    @Test
    void factorsMultiplyToTheMatrix() {
        Weights weights = model.weights();
        var svd = weights.ov().get(0).get(1).svd();
        Golden.assertClose(
                weights.ov().ab().select(0, 0).select(0, 1),
                svd.u().mul(svd.s().unsqueeze(0)).matmul(svd.v().t()),
                "U S Vᵀ");
    }

    @Test
    void compositionScoresAreTheirs() {
        Weights weights = model.weights();
        for (Weights.Composition through : Weights.Composition.values())
            Golden.assertClose(
                    expected.tensor("composition/" + through),
                    weights.allCompositionScores(through),
                    "composition " + through);
    }

    @Test
    void headsAreLabelledAsTheirs() {
        Weights weights = model.weights();
        assertEquals(
                GOLDEN.expected()
                        .get("head_labels")
                        .valueStream()
                        .map(JsonNode::stringValue)
                        .toList(),
                weights.allHeadLabels());
    }
}
