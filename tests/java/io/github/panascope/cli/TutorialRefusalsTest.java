package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models, SAEs, datasets and options that {@code panascope tutorial} refuses in one sentence. */
@ExtendWith(LeakCheck.class)
class TutorialRefusalsTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    /** Exit code 2, one sentence, no stack trace, nothing written. */
    private void assertRefused(String part, String... arguments) throws IOException {
        List<String> all = new ArrayList<>(
                List.of("tutorial", "--out", folder.resolve("out").toString()));
        all.addAll(Arrays.asList(arguments));
        console.reset();
        assertEquals(
                2,
                Main.run(all.toArray(String[]::new)),
                () -> String.join(" ", arguments) + " was not refused: " + console.complaint());
        assertTrue(
                console.complaint().startsWith("panascope: ")
                        && console.complaint().contains(part),
                console::complaint);
        assertEquals(1, console.complaint().lines().count(), console::complaint);
        assertFalse(Files.exists(folder.resolve("out")), "something was written");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'n_layer' should be a positive whole number | \"n_layer\": 4 | \"n_layer\": \"4\"",
                "has no tensor 'transformer.h.4.ln_1.weight' | \"n_layer\": 4 | \"n_layer\": 5",
                "holds tensors that a model of 3 layers does not have | \"n_layer\": 4 | \"n_layer\": 3",
                "has shape | \"n_embd\": 96 | \"n_embd\": 48",
                "'activation_function' should be 'gelu_new', not \"relu\" | gelu_new | relu",
                "'model_type' should be one of 'gpt2' | \"model_type\": \"gpt2\" | \"model_type\": \"gpt3\"",
                "models of type 'mixtral' have a mixture of experts | \"gpt2\" | \"mixtral\"",
                "Did you mean 'n_layer'? | \"n_layer\": 4 | \"n_layers\": 4"
            })
    void aModelWithAnotherConfigurationIsRefused(String message, String from, String to) throws IOException {
        String changed = DemoFixture.changedText(folder, "model", "config.json", from, to);
        assertRefused(message, "--model", changed, "--sae", DemoFixture.sae());
    }

    @Test
    void aModelWithoutWeightsIsRefused() throws IOException {
        String changed = DemoFixture.changed(folder, "model", "model.safetensors", null);
        assertRefused("has none of model.safetensors", "--sae", DemoFixture.sae(), "--model", changed);
    }

    @Test
    void aModelWithTruncatedWeightsIsRefused() throws IOException {
        byte[] weights = Files.readAllBytes(DemoFixture.FOLDER.resolve("model/model.safetensors"));
        String changed = DemoFixture.changed(
                folder, "model", "model.safetensors", Arrays.copyOf(weights, weights.length - 1000));
        assertRefused("is truncated", "--sae", DemoFixture.sae(), "--model", changed);
    }

    @Test
    void aModelThatIsMisspeltGetsASuggestion() throws IOException {
        assertRefused(
                "model 'gpt2-smal' is not known, and no file or folder of that name exists. Did you mean 'gpt2-small'?",
                "--sae",
                DemoFixture.sae(),
                "--model",
                "gpt2-smal");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "Did you mean 'architecture'? | \"architecture\" | \"architekture\"",
                "was expected | \"d_in\": 96 | \"d_in\": 95",
                "has only 4 layers | blocks.2.hook_resid_pre | blocks.7.hook_resid_pre",
                "is no hook point | blocks.2.hook_resid_pre | blocks.2.hook_resid_prr",
                "width 384 at blocks.2.mlp.hook_post | blocks.2.hook_resid_pre | blocks.2.mlp.hook_post",
                "the SAE's context_size of 300 should lie between 2 and the model's n_ctx of 256 | \"context_size\":"
                        + " 128 | \"context_size\": 300"
            })
    void anSaeWithAnotherConfigurationIsRefused(String message, String from, String to) throws IOException {
        String changed = DemoFixture.changedText(folder, "sae", "cfg.json", from, to);
        assertRefused(message, "--model", DemoFixture.model(), "--sae", changed);
    }

    @Test
    void anSaeWithOtherTensorsIsRefused() throws IOException {
        String changed = DemoFixture.changed(
                folder,
                "sae",
                "sae_weights.safetensors",
                Files.readAllBytes(DemoFixture.FOLDER.resolve("sae/sparsity.safetensors")));
        assertRefused(
                "holds tensors that an SAE of the architecture 'standard' does not have: sparsity",
                "--model",
                DemoFixture.model(),
                "--sae",
                changed);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "Did you mean 'gpt2-small-res-jb'? | gpt2-small-res-jbb/blocks.8.hook_resid_pre",
                "Did you mean 'blocks.8.hook_resid_pre'? | gpt2-small-res-jb/blocks.8.hook_resid_prr"
            })
    void anSaeThatIsMisspeltGetsASuggestion(String message, String sae) throws IOException {
        assertRefused(message, "--model", DemoFixture.model(), "--sae", sae);
    }

    @Test
    void aModelAloneIsRefused() throws IOException {
        assertRefused("--model is given without --sae", "--model", DemoFixture.model());
    }

    @Test
    void aFolderWithoutAnSaeIsRefused() throws IOException {
        assertRefused("cfg.json does not exist", "--model", DemoFixture.model(), "--sae", folder.toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--rows should be at least 1 | --rows 0",
                "Invalid value for option '--rows' | --rows many",
                "Unknown option: '--row=3' | --row=3",
                "--tokenization should be | --tokenization words",
                "--device should be auto, cpu, cuda (or cuda:1) or mps | --device tpu",
                "--device mps: device mps cannot be used | --device mps",
                "--dtype should be float32 or bfloat16 | --dtype float16",
                "--features: 1024 is outside the SAE's features 0 to 1023 | --features 0,1024",
                "is too short for this SAE | --dataset tests/resources/datasets/tokens.parquet"
            })
    void aBadOptionIsRefused(String message, String arguments) throws IOException {
        assertRefused(message, arguments.split(" "));
    }

    @ParameterizedTest
    @ValueSource(strings = {"--prompt", "--answer"})
    void anEmptyTextIsRefused(String option) throws IOException {
        assertRefused(option + " should not be empty", option, "");
    }

    @Test
    void aPromptThatIsTooLongIsRefused() throws IOException {
        assertRefused("more than the model's context of 256", "--prompt", "word ".repeat(300));
    }

    @ParameterizedTest
    @CsvSource({"empty.jsonl, ''", "blank.txt, ' \n '"})
    void aDatasetWithoutTextIsRefused(String name, String content) throws IOException {
        Path empty = Files.writeString(folder.resolve(name), content);
        assertRefused("is empty", "--dataset", empty.toString());
    }

    @Test
    void aDatasetThatIsNotThereIsRefused() throws IOException {
        assertRefused(
                "does not exist", "--dataset", folder.resolve("absent.parquet").toString());
    }

    @Test
    void aSplitWithoutFilesIsRefused() throws IOException {
        Files.writeString(folder.resolve("train.txt"), "text");
        assertRefused("has no files of the split 'test'", "--dataset", folder.toString(), "--split", "test");
    }

    @Test
    void aColumnThatIsNotThereIsRefused() throws IOException {
        Path texts = Files.writeString(folder.resolve("texts.jsonl"), "{\"text\":\"x\"}");
        assertRefused("no field 'body'", "--dataset", texts.toString(), "--column", "body");
    }

    @Test
    void aFileIsNoFolderToWriteTo() throws IOException {
        Path file = Files.writeString(folder.resolve("empty.jsonl"), "");
        assertEquals(2, Main.run("tutorial", "--out", file.toString()));
        assertTrue(console.complaint().contains("is a file, not a folder"), console::complaint);
    }

    @Test
    void aConversationWithAModelThatHasNoFormOfThemIsRefused() {
        console.reset();
        String[] arguments = {"prompt", "--chat", "--model", DemoFixture.model(), "--sae", DemoFixture.sae()};
        assertEquals(2, Main.run(arguments));
        assertTrue(
                console.complaint()
                        .contains("panascope: The tokenizer has no chat_template in its tokenizer_config.json: it"
                                + " belongs to a model that was not trained for conversations."),
                console::complaint);
    }
}
