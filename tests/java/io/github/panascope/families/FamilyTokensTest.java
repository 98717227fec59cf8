package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** How texts of every family begin. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class FamilyTokensTest {
    private static Stream<FamilyCase> all() throws Exception {
        return FamilyCase.all();
    }

    @ParameterizedTest
    @MethodSource("all")
    void textsBeginWithTheBosTokenExceptThoseOfQwen(FamilyCase family) {
        try (var _ = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.NONE)) {
            boolean begins = !family.name().startsWith("qwen");
            assertEquals(begins, model.prependsBos());
            long[] with = model.toTokens("a cat", true).toLongs();
            long[] without = model.toTokens("a cat", false).toLongs();
            assertEquals(model.tokenizer().bos(), with[0]);
            assertArrayEquals(without, Arrays.copyOfRange(with, 1, with.length));
            assertArrayEquals(begins ? with : without, model.toTokens("a cat").toLongs());
            assertEquals(
                    begins ? with.length : without.length,
                    model.toStrTokens("a cat").size());
            assertArrayEquals(
                    begins ? with : without,
                    model.generate("a cat").maxNewTokens(0).run().toLongs());
            if (begins) return;
            assertEquals(
                    "a prompt without any token has no next token: model has no token that begins texts",
                    assertThrows(IllegalArgumentException.class, () -> model.generate(List.of("a", "")))
                            .getMessage());
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void onlyPaddingIsMasked(FamilyCase family) {
        try (var _ = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.NONE)) {
            for (boolean bos : new boolean[] {true, false}) {
                Tensor tokens = model.toTokens(List.of("a cat sat", "a"), bos, HookedTransformer.PaddingSide.LEFT);
                long[] mask = model.attentionMask(tokens, HookedTransformer.PaddingSide.LEFT, bos)
                        .toLongs();
                int text = (int) model.toTokens("a", bos).size(1);
                int length = (int) tokens.size(1);
                assertTrue(length > text);
                for (int i = 0; i < length; i++) {
                    assertEquals(1, mask[i]);
                    assertEquals(i < length - text ? 0 : 1, mask[length + i], bos + " " + i);
                }
            }
            assertFalse(model.tokenizer().bosEosPad().length == 0);
        }
    }
}
