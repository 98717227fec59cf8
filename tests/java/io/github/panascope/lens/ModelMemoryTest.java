package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.InputException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import org.junit.jupiter.api.Test;

/** The sentence for a model that does not fit. */
class ModelMemoryTest {
    private static final long WEIGHTS = 2_600_000_000L;

    @Test
    void aModelThatFitsIsLoaded() {
        assertDoesNotThrow(
                () -> ModelMemory.require("gemma-2-2b", WEIGHTS, DType.FLOAT32, Device.CPU, 10_400_000_000L));
    }

    @Test
    void theMessageSaysWhatHelps() {
        assertEquals(
                "model gemma-2-2b needs 10.4 GB in float32, and cpu has 8.0 GB of memory for it: bfloat16 needs half of"
                        + " that (--dtype bfloat16).",
                refusal(DType.FLOAT32, 8_000_000_000L));
        assertEquals(
                "model gemma-2-2b needs 10.4 GB in float32, and cpu has 4.0 GB of memory for it: take a smaller model,"
                        + " or a machine with more memory.",
                refusal(DType.FLOAT32, 4_000_000_000L));
        assertEquals(
                "model gemma-2-2b needs 5.2 GB in bfloat16, and cpu has 5.2 GB of memory for it: take a smaller model,"
                        + " or a machine with more memory.",
                refusal(DType.BFLOAT16, 5_199_999_999L));
    }

    private static String refusal(DType dtype, long available) {
        return assertThrows(
                        InputException.class,
                        () -> ModelMemory.require("gemma-2-2b", WEIGHTS, dtype, Device.CPU, available))
                .getMessage();
    }
}
