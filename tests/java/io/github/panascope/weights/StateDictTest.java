package io.github.panascope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * One GPT-2 in every format that weights are published in, and files that must be refused: see
 * tests/peers/make_weights.py.
 */
@ExtendWith(LeakCheck.class)
class StateDictTest {
    private static final Path FOLDER = Path.of("tests/resources/golden/weights");

    @ParameterizedTest
    @CsvSource({
        "zip/pytorch_model.bin, ''",
        "legacy/pytorch_model.bin, ''",
        "sharded/model.safetensors.index.json, ''",
        "sharded_bin/pytorch_model.bin.index.json, ''",
        "torchscript/model.pt, transformer."
    })
    void everyFormatHoldsTheSameTensors(String file, String prefix) {
        try (var scope = TensorScope.open()) {
            StateDict expected = StateDict.open(FOLDER.resolve("safetensors/model.safetensors"), scope);
            StateDict actual = StateDict.open(FOLDER.resolve(file), scope);
            Set<String> left = new TreeSet<>(actual.names());
            for (String name : expected.names()) {
                assertTrue(actual.has(prefix + name), prefix + name + " in " + actual.names());
                assertEquals(expected.dtype(name), actual.dtype(prefix + name));
                assertTrue(
                        expected.tensor(name).sameElements(actual.weight(prefix + name, expected.shape(name))), name);
                left.remove(prefix + name);
            }
            left.removeIf(name -> name.matches(".*attn\\.(masked_)?bias|lm_head\\.weight"));
            assertEquals(Set.of(), left);
        }
    }

    @Test
    void viewsSharedMemoryAndAllTypesAreAsInPython() {
        try (var scope = TensorScope.open()) {
            StateDict expected = StateDict.open(FOLDER.resolve("expected.safetensors"), scope);
            StateDict views = StateDict.open(FOLDER.resolve("views.pt"), scope);
            assertEquals(9, views.names().size());
            for (String name : views.names()) {
                assertEquals(expected.dtype("views/" + name), views.dtype(name));
                assertEquals(expected.shape("views/" + name), views.shape(name), name);
                assertTrue(expected.tensor("views/" + name).sameElements(views.tensor(name)), name);
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "os_system.pt        | wants to call the Python function posix.system, which no file of tensors needs;"
                        + " refused.",
                "eval.pt             | wants to call the Python function __builtin__.eval, which",
                "getattr.pt          | wants to call the Python function __builtin__.getattr, which",
                "plain_pickle.pt     | is a pickle, but not one that torch.save wrote.",
                "truncated.pt        | is truncated: a zip archive whose directory is missing. Fetch it again.",
                "truncated_legacy.pt | is truncated: it has",
                "compressed.pt       | is compressed, and torch.save never does that.",
                "bomb.pt             | would unpack to 83886080 bytes of compressed entries"
            })
    void hostileAndDamagedFilesAreRefusedBySentence(String file, String expected) {
        try (var scope = TensorScope.open()) {
            InputException e = assertThrows(
                    InputException.class,
                    () -> StateDict.open(FOLDER.resolve("bad").resolve(file), scope));
            assertTrue(e.getMessage().contains(expected), e.getMessage());
            assertTrue(
                    e.getMessage()
                            .startsWith(FOLDER.resolve("bad").resolve(file).toString()),
                    e.getMessage());
        }
        assertFalse(Files.exists(Path.of("/tmp/panascope_was_here")));
    }

    @Test
    void anIndexNamesOnlyFilesBesideIt(@TempDir Path folder) throws Exception {
        Path index = folder.resolve("model.safetensors.index.json");
        for (String file :
                new String[] {"../model.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "index.json"}) {
            Files.writeString(index, "{\"weight_map\": {\"w\": \"" + file + "\"}}");
            try (var scope = TensorScope.open()) {
                assertTrue(assertThrows(InputException.class, () -> StateDict.open(index, scope))
                        .getMessage()
                        .contains("'w' should be the name of a file beside it"));
            }
        }
        Files.writeString(index, "{\"weight_map\": {\"w\": \"a.safetensors\"}}");
        try (var scope = TensorScope.open()) {
            assertTrue(assertThrows(InputException.class, () -> StateDict.open(index, scope))
                    .getMessage()
                    .contains("a.safetensors does not exist."));
            Safetensors.write(folder.resolve("a.safetensors"), Map.of("v", Tensor.zeros(DType.FLOAT32, Shape.of(2))));
            assertTrue(assertThrows(InputException.class, () -> StateDict.open(index, scope))
                    .getMessage()
                    .contains("says that tensor 'w' is in a.safetensors, but it is not."));
        }
    }

    @Test
    void whatIsNoFileIsCalledWhatItIs(@TempDir Path folder) throws Exception {
        Path file = Files.createDirectory(folder.resolve("model.safetensors"));
        Path pipe = folder.resolve("pipe.safetensors");
        assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
        try (var scope = TensorScope.open()) {
            assertEquals(
                    file + " is a folder, and should be a file.",
                    assertThrows(InputException.class, () -> StateDict.open(file, scope))
                            .getMessage());
            assertEquals(
                    pipe + " is not a regular file.",
                    assertThrows(InputException.class, () -> StateDict.open(pipe, scope))
                            .getMessage());
        }
    }

    @Test
    void whatIsWrittenIsReadAgain(@TempDir Path folder) {
        Path file = folder.resolve("deep/er/x.safetensors");
        try (var scope = TensorScope.open()) {
            Tensor matrix = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, Shape.of(2, 3));
            Tensor scalar = Tensor.of(new float[] {7}, Shape.of());
            Safetensors.write(
                    file,
                    Map.of(
                            "transposed",
                            matrix.t(),
                            "scalar",
                            scalar,
                            "half",
                            matrix.to(DType.BFLOAT16),
                            "tokens",
                            Tensor.ofTokens(1, 2)));
            StateDict read = StateDict.open(file, scope);
            assertTrue(matrix.t().sameElements(read.tensor("transposed")));
            assertTrue(scalar.sameElements(read.tensor("scalar")));
            assertTrue(matrix.to(DType.BFLOAT16).sameElements(read.tensor("half")));
            assertEquals(DType.INT64, read.dtype("tokens"));
        }
    }
}
