package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.lens.HookedTransformer.PaddingSide;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import java.util.Locale;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import tools.jackson.databind.JsonNode;

/** Batches of texts of several lengths, padded on either side, against TransformerLens. */
@OnEachDevice
class PaddingTest extends SurfaceFixture {
    /** The texts as one batch. */
    private final class Padded {
        final String name;
        final JsonNode wanted;
        final Tensor tokens, mask;

        Padded(PaddingSide side) {
            name = side.name().toLowerCase(Locale.ROOT);
            wanted = GOLDEN.expected().get(name);
            tokens = model.toTokens(texts(), true, side);
            mask = model.attentionMask(tokens, side, true);
        }

        Forward run() {
            return model.forward(tokens).attentionMask(mask);
        }
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void tokensAndMaskAreTheirs(PaddingSide side) {
        Padded batch = new Padded(side);
        assertArrayEquals(ids(batch.wanted.get("tokens")), batch.tokens.toLongs());
        assertArrayEquals(ids(batch.wanted.get("mask")), batch.mask.toLongs());
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void logitsAndActivationsAreTheirs(PaddingSide side) {
        Padded batch = new Padded(side);
        Forward run = batch.run().caching("hook_pos_embed", "blocks.1.attn.hook_pattern", "blocks.2.hook_resid_post");
        Tensor logits = run.logitsAndLoss().logits();
        Golden.assertClose(
                expected.tensor(batch.name + "/last_logits"),
                logits.select(1, batch.tokens.size(1) - 1).slice(-1, 0, 200),
                batch.name);
        for (String point : run.cache().names())
            Golden.assertClose(
                    expected.tensor(batch.name + "/" + point), run.cache().get(point), batch.name + " " + point);
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void lossesAndAccuracyAreTheirs(PaddingSide side) {
        Padded batch = new Padded(side);
        Golden.assertClose(expected.tensor(batch.name + "/losses"), batch.run().lossPerToken(), batch.name + " losses");
        Forward.LogitsAndLoss both = batch.run().logitsAndLoss();
        assertEquals(batch.wanted.get("loss").doubleValue(), batch.run().loss(), 1e-5);
        assertEquals(batch.wanted.get("loss").doubleValue(), both.loss(), 1e-5);
        assertEquals(batch.wanted.get("accuracy").doubleValue(), LmMetrics.accuracy(both.logits(), batch.tokens), 1e-6);
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void aMaskOfAnotherShapeIsRefused(PaddingSide side) {
        Padded batch = new Padded(side);
        assertThrows(
                IllegalArgumentException.class,
                () -> model.forward(batch.tokens).attentionMask(batch.mask.slice(1, 0, 3)));
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void whatIsNotZeroInAMaskIsText(PaddingSide side) {
        Padded batch = new Padded(side);
        Forward.LogitsAndLoss both = batch.run().logitsAndLoss();
        Tensor mask = batch.mask;
        for (Tensor other : new Tensor[] {mask.mul(1000), mask.mul(-2), mask.gt(0), mask.to(DType.FLOAT32)}) {
            assertEquals(
                    both.loss(),
                    model.forward(batch.tokens).attentionMask(other).loss(),
                    1e-6);
            assertEquals(both.loss(), LmMetrics.crossEntropyLoss(both.logits(), batch.tokens, other), 1e-6);
        }
    }

    @ParameterizedTest
    @EnumSource(PaddingSide.class)
    void whatIsMaskedMayBeAnything(PaddingSide side) {
        Padded batch = new Padded(side);
        Forward.LogitsAndLoss both = batch.run().logitsAndLoss();
        Tensor broken = both.logits().copy();
        int padded = side == PaddingSide.LEFT ? 0 : (int) batch.tokens.size(1) - 2;
        broken.select(0, 2)
                .select(0, padded)
                .copy_(broken.select(0, 2).select(0, padded).mul(Double.NaN));
        assertEquals(both.loss(), LmMetrics.crossEntropyLoss(broken, batch.tokens, batch.mask), 1e-6);
    }
}
