package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Reading an SAE's configuration: old and new, and what must not pass in silence. */
class SaeConfigTest {
    private static SaeConfig.Parsed parse(String json) {
        return SaeConfig.parse(ConfigFile.parse("cfg.json", json));
    }

    @Test
    void oldFilesTakeTheDefaultsOfTheirDay() {
        SaeConfig.Parsed parsed =
                parse("{\"hook_point\": \"blocks.2.attn.hook_z\", \"hook_point_layer\": 2, \"d_in\": 48, \"d_sae\": 96,"
                        + " \"normalize_activations\": null, \"device\": \"mps\", \"dtype\": \"torch.float32\", \"lr\":"
                        + " 0.1, \"something_new\": 7}");
        assertEquals(
                new SaeConfig(
                        Architecture.STANDARD,
                        48,
                        96,
                        48,
                        0,
                        false,
                        true,
                        Normalization.NONE,
                        true,
                        new SaeConfig.Metadata(
                                "blocks.2.attn.hook_z",
                                "blocks.2.attn.hook_z",
                                null,
                                0,
                                true,
                                null,
                                ModelKwargs.NONE,
                                Map.of())),
                parsed.config());
        assertEquals(List.of("hook_point_layer", "lr", "something_new"), parsed.skippedKeys());
        assertEquals(
                Normalization.EXPECTED_AVERAGE_ONLY_IN,
                parse("{\"hook_point\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"normalize_activations\": true}")
                        .config()
                        .normalization());
    }

    /** SAELens 6 knows no default for it, and then prepends nothing; before, it was on. */
    @Test
    void rowsBeginWithBosWhereTheFileOrItsTimeSaysSo() {
        assertTrue(parse("{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1}")
                .config()
                .prependBos());
        assertFalse(parse("{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"prepend_bos\": false}")
                .config()
                .prependBos());
        assertFalse(parse("{\"d_in\": 1, \"d_sae\": 1, \"metadata\": {\"hook_name\": \"h\"}}")
                .config()
                .prependBos());
        assertTrue(parse("{\"d_in\": 1, \"d_sae\": 1, \"metadata\": {\"hook_name\": \"h\", \"prepend_bos\": true}}")
                .config()
                .prependBos());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "{\"architekture\": \"standard\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1} | unknown key"
                        + " 'architekture'. Did you mean 'architecture'?",
                "{\"architecture\": \"standart\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1} | the architecture"
                        + " 'standart' is not known. Did you mean 'standard'?",
                "{\"architecture\": \"temporal\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1} | the architecture"
                        + " 'temporal' is not supported; supported are standard, gated",
                "{\"architecture\": \"batchtopk\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1} | 'batchtopk' is"
                        + " an architecture in training; SAELens saves the result as 'jumprelu'",
                "{\"architecture\": \"topk\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 4} | has no 'k', which"
                        + " should be a positive whole number",
                "{\"architecture\": \"topk\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 4, \"k\": 5} | 'k' should"
                        + " be at most d_sae, 4, not 5",
                "{\"architecture\": \"transcoder\", \"hook_name\": \"h\", \"hook_name_out\": \"o\", \"d_in\": 1,"
                        + " \"d_sae\": 4} | has no 'd_out'",
                "{\"architecture\": \"transcoder\", \"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 4, \"d_out\": 1,"
                        + " \"apply_b_dec_to_input\": true} | 'apply_b_dec_to_input' should be false",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"normalize_activations\":"
                        + " \"covariance_whitening\"} | should be folded into the weights",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"rescale_acts_by_decoder_norm\": true} | should be"
                        + " false for the architecture 'standard'",
                "{\"hook_name\": \"h\", \"d_sae\": 1} | has no 'd_in', which should be a positive whole number",
                "{\"hook_name\": \"h\", \"d_in\": \"1\", \"d_sae\": 1} | 'd_in' should be a positive whole number, not"
                        + " \"1\"",
                "{\"hook_name\": \"h\", \"d_in\": -1, \"d_sae\": 1} | 'd_in' should be a positive whole number, not -1",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"apply_b_dec_to_input\": 1} |"
                        + " 'apply_b_dec_to_input' should be true or false, not 1",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"normalize_activations\": \"batch_norm\"} |"
                        + " 'normalize_activations' should be one of none, layer_norm",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"activation_fn\": \"tanh-relu\"} | 'activation_fn'"
                        + " should be 'relu'",
                "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"hook_head_index\": 3} | 'hook_head_index' should"
                        + " be null",
                "{\"d_in\": 1, \"d_sae\": 1, \"metadata\": {\"hook_nam\": \"h\"}} | unknown key 'hook_nam'. Did you"
                        + " mean 'hook_name'?",
                "{\"hook_name\": \"h\", \"hook_point\": \"g\", \"d_in\": 1, \"d_sae\": 1} | 'hook_point' should be"
                        + " 'h', as hook_name says, not \"g\"",
                "{\"d_in\": 1, \"d_sae\": 1} | has no 'hook_name'",
                "[] | should hold a JSON object",
                "{ | is not valid JSON",
                "{\"d_in\": 1, \"d_in\": 2} | the key \"d_in\" is there twice"
            })
    void whatWouldChangeTheMathematicsIsRefused(String json, String expected) {
        InputException e = assertThrows(InputException.class, () -> parse(json));
        assertTrue(e.getMessage().startsWith("cfg.json") && e.getMessage().contains(expected), e.getMessage());
    }

    /** As Python's json writes them. */
    @Test
    void notANumberIsReadAndKeptAndRefusedWhereANumberIsNeeded() {
        SaeConfig config = parse(
                        "{\"d_in\": 1, \"d_sae\": 1, \"metadata\": {\"hook_name\": \"h\", \"l0\": NaN, \"loss\":"
                                + " -Infinity, \"nested\": {\"a\": [Infinity]}}}")
                .config();
        assertTrue(Double.isNaN(config.reported("l0")));
        assertEquals(config, parse(config.toJson("float32")).config());
        String json = config.toJson("float32");
        for (String kept : List.of("\"l0\":NaN", "\"loss\":-Infinity", "\"nested\":{\"a\":[Infinity]}"))
            assertTrue(json.contains(kept), json);
        for (String value : List.of("NaN", "Infinity", "-Infinity")) {
            InputException e = assertThrows(
                    InputException.class, () -> parse("{\"d_in\": " + value + ", \"d_sae\": 1, \"hook_name\": \"h\"}"));
            assertTrue(
                    e.getMessage().contains("'d_in' should be a positive whole number, not " + value + "."),
                    e.getMessage());
        }
    }

    private static SaeConfig withKwargs(String model, String kwargs) {
        return parse("{\"d_in\": 1, \"d_sae\": 1, \"metadata\": {\"hook_name\": \"h\", \"model_name\": \"" + model
                        + "\", \"model_from_pretrained_kwargs\": " + kwargs + "}}")
                .config();
    }

    @Test
    void argumentsForTheModelAreKeptAndUsedOrNamed() {
        String kwargs = "{\"center_writing_weights\":true,\"revision\":\"step5\",\"n_devices\":2,"
                + "\"first_n_layers\":3,\"scale\":0.5,\"nothing\":null,\"list\":[1,{\"a\":\"b\"}]}";
        SaeConfig config = withKwargs("gpt2-small", kwargs);
        assertEquals("gpt2-small@step5", config.modelAtRevision());
        assertEquals(
                Map.of("center_writing_weights", true), config.modelKwargs().processing());
        assertEquals(
                "{first_n_layers=3, scale=0.5, list=[1, {a=b}]}",
                config.modelKwargs().unknown().toString());
        assertTrue(
                config.toJson("float32").contains("\"model_from_pretrained_kwargs\":" + kwargs),
                config.toJson("float32"));
        assertEquals(config, parse(config.toJson("float32")).config());
    }

    @Test
    void checkpointsAreRevisionsOfTheModelsThatHaveThem() {
        assertEquals(
                "stanford-gpt2-small-a@checkpoint-1000",
                withKwargs("stanford-gpt2-small-a", "{\"checkpoint_value\": 1000}")
                        .modelAtRevision());
        assertEquals(
                "gpt2-small",
                withKwargs("gpt2-small", "{\"checkpoint_value\": null, \"revision\": null}")
                        .modelAtRevision());
        for (String kwargs : List.of("{\"checkpoint_value\": 1000}", "{\"checkpoint_index\": 7}")) {
            String message = assertThrows(
                            InputException.class,
                            () -> withKwargs("gpt2-small", kwargs).modelAtRevision())
                    .getMessage();
            assertTrue(message.startsWith("the SAE belongs to gpt2-small at checkpoint_"), message);
        }
        assertThrows(
                InputException.class,
                () -> withKwargs("gpt2-small", "{\"revision\": 7}").modelAtRevision());
    }

    @Test
    void theRegistryNamesTheNearest() {
        SaeRegistry registry = SaeRegistry.bundled();
        SaeRegistry.Entry entry = registry.find("gpt2-small-res-jb/blocks.8.hook_resid_pre");
        assertEquals("jbloom/GPT2-Small-SAEs-Reformatted", entry.repo());
        assertEquals("gpt2-small/8-res-jb", entry.neuronpediaId());
        assertEquals(
                "{\"model_from_pretrained_kwargs\":{\"center_writing_weights\":true},"
                        + "\"neuronpedia_id\":\"gpt2-small/8-res-jb\"}",
                entry.configOverrides());
        assertEquals(60.0, entry.l0());
        assertEquals(0.9, entry.varianceExplained());
        assertEquals(170, registry.releases().size());
        assertEquals(13857, registry.entries().count());
        assertEquals(
                18,
                registry.releases().stream()
                        .filter(name -> name.startsWith("gpt2-small"))
                        .count());
        assertEquals(
                1.049317316132615,
                registry.find("gpt2-small-mlp-tm/blocks.0.hook_mlp_out").normScalingFactor());
        assertTrue(assertThrows(InputException.class, () -> registry.find("gpt2-small-res-jp/x"))
                .getMessage()
                .contains("Did you mean 'gpt2-small-res-jb'?"));
        String message = assertThrows(
                        InputException.class, () -> registry.find("gpt2-small-res-jb/blocks.8.hook_resid_pree"))
                .getMessage();
        assertTrue(message.contains("Did you mean 'blocks.8.hook_resid_pre'?"), message);
    }
}
