package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tokenizers whose tokens are not the rows of the model's embedding, and W_U that exists in a run only. */
class VocabularyFitTest {
    private static final int TOKENS = 329;
    private static final int ROWS = 332;

    @TempDir
    Path folder;

    /** Writes the tiny Llama 2 with added tokens, of which the embedding has no row for the last. */
    private String withTokenBeyond(boolean special) throws IOException {
        try (var files = Files.list(FamilyCase.of("llama2").folder().resolve("model"))) {
            for (Path file : files.toList()) Files.copy(file, folder.resolve(file.getFileName()));
        }
        StringBuilder added = new StringBuilder("\"added_tokens\": [");
        for (int id = TOKENS; id <= ROWS; id++) { // ids have no gaps
            added.append("""
                {"id": %d, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false,
                 "normalized": false, "special": %b},\
                """.formatted(id, id == ROWS ? "<pad>" : "<" + id + ">", special));
        }
        replace("tokenizer.json", "\"added_tokens\": [", added.toString());
        replace("tokenizer_config.json", "\"bos_token\"", "\"pad_token\": \"<pad>\", \"bos_token\"");
        return folder.toString();
    }

    private void replace(String name, String old, String now) throws IOException {
        Path file = folder.resolve(name);
        String text = Files.readString(file);
        assertTrue(text.contains(old), text);
        Files.writeString(file, text.replace(old, now));
    }

    @Test
    void aPadTokenWithoutARowDoesNotReachTheModel() throws IOException {
        try (var _ = TensorScope.open();
                HookedTransformer model = HookedTransformer.fromPretrained(
                        withTokenBeyond(true), TestDevice.options(WeightProcessing.NONE))) {
            assertEquals(ROWS, model.tokenizer().pad());
            List<String> texts = List.of("the cat sat on a mat", "birds");
            Tensor tokens = model.toTokens(texts, true, HookedTransformer.PaddingSide.LEFT);
            assertTrue(Arrays.stream(tokens.toLongs()).allMatch(id -> id < ROWS));
            long[] together =
                    model.generate(texts).maxNewTokens(4).stopAtEos(false).run().toLongs();
            long[] alone = model.generate("birds")
                    .maxNewTokens(4)
                    .stopAtEos(false)
                    .run()
                    .toLongs();
            assertArrayEquals(alone, Arrays.copyOfRange(together, together.length - alone.length, together.length));
        }
    }

    @Test
    void aTokenOfTextsWithoutARowIsRefused() throws IOException {
        String name = withTokenBeyond(false);
        assertEquals(
                folder.resolve("config.json") + ": 'vocab_size' is 332, but the tokenizer has 333 tokens.",
                assertThrows(InputException.class, () -> HookedTransformer.fromPretrained(name))
                        .getMessage());
    }

    /** Folded and centred, folded only, and as it is in the file. */
    @ParameterizedTest
    @ValueSource(strings = {"llama3-untied", "gemma2", "pythia"})
    void logitsOfDirectionsAreProductsWithTheProcessedUnembedding(String name) {
        try (var _ = TensorScope.open();
                HookedTransformer model = FamilyCase.of(name).load(WeightProcessing.DEFAULT)) {
            int width = model.config().dModel();
            float[] values = new float[2 * width];
            for (int i = 0; i < values.length; i++) values[i] = (float) Math.sin(i);
            Tensor directions =
                    Tensor.of(values, Shape.of(2, width)).to(DType.FLOAT32).to(model.device());
            Tensor expected = directions.matmul(model.weight("unembed.W_U"));
            FamilyCase.assertClose(expected, model.toLogits(directions), 1e-5, name);
            Tensor memory = expected.zerosLike();
            FamilyCase.assertClose(expected, model.toLogits(directions, memory), 1e-5, name);
            long[] ids = {3, 1};
            Tensor columns = model.tokensToResidualDirections(Tensor.of(ids, Shape.of(2)));
            for (int i = 0; i < ids.length; i++)
                FamilyCase.assertClose(model.weight("unembed.W_U").select(1, ids[i]), columns.select(0, i), 1e-5, name);
        }
    }
}
