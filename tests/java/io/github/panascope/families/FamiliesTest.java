package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.TransformerConfig.Activation;
import io.github.panascope.model.TransformerConfig.RotaryScaling;
import io.github.panascope.model.WeightProcessing;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the config.json of published models means, with the keys and values that they have. */
class FamiliesTest {
    private static final String LLAMA_31 = """
        {"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
         "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
         "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 131072,
         "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
         "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 8192, "rope_type": "llama3"},
         "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
         "vocab_size": 128256}\
        """;

    private static TransformerConfig read(String json) {
        ConfigFile file = ConfigFile.parse("config.json", json);
        return Families.of(file).parse(file).config();
    }

    @Test
    void llama31IsScaledByBands() {
        TransformerConfig config = read(LLAMA_31);
        assertEquals(32, config.nHeads());
        assertEquals(8, config.nKeyValueHeads());
        assertEquals(128, config.dHead());
        assertTrue(config.isRms());
        assertTrue(config.mlp().gated());
        assertEquals(Activation.SILU, config.mlp().activation());
        assertEquals(RotaryScaling.LLAMA3, config.rotary().scaling());
        assertEquals(500000, config.rotary().base());
        assertEquals(8192, config.rotary().originalContext());
        assertFalse(config.embedding().tied());
    }

    @Test
    void transformers5WritesOtherKeysForTheRotation() {
        String newer = LLAMA_31.replaceFirst(
                "(?s)\"rope_scaling\": \\{(.*?)\\},\\s*\"rope_theta\": 500000.0",
                "\"rope_parameters\": {$1, \"rope_theta\": 500000.0}");
        assertTrue(newer.contains("rope_parameters"));
        assertEquals(read(LLAMA_31), read(newer));
    }

    @Test
    void gemma3OfTheHubLeavesSizesOut() {
        TransformerConfig config = read("""
            {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
             "boi_token_index": 255999, "mm_tokens_per_image": 256, "vision_config": {"hidden_size": 1152},
             "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
                             "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                             "sliding_window": 1024},
             "torch_dtype": "bfloat16"}\
            """);
        assertEquals(8, config.nHeads());
        assertEquals(4, config.nKeyValueHeads());
        assertEquals(256, config.dHead());
        assertEquals(262208, config.dVocab());
        assertEquals(16, config.attention().scale());
        assertEquals(1024, config.attention().window(0));
        assertEquals(0, config.attention().window(5));
        assertEquals(1e6, config.rotary().base());
        assertEquals(1e4, config.rotary().localBase());
        assertEquals(RotaryScaling.LINEAR, config.rotary().scaling());
        assertEquals(8, config.rotary().factor());
        assertEquals(Math.sqrt(2560), config.embedding().scale());
        assertTrue(config.embedding().tied());
        assertEquals(0, config.embedding().logitCap());
    }

    @Test
    void gemma2HasCapsAndWindowsUnlessTheFileSaysNull() {
        String json = """
            {"model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
             "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000,
             "max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "query_pre_attn_scalar": 224,
             "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 4096,
             "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "cache_implementation": "hybrid"}\
            """;
        TransformerConfig config = read(json);
        assertEquals(50, config.attention().softCap());
        assertEquals(30, config.embedding().logitCap());
        assertEquals(Math.sqrt(224), config.attention().scale());
        assertEquals(List.of(4096, 0), config.attention().windows().subList(0, 2));
        TransformerConfig uncapped = read(json.replace("50.0", "null").replace("30.0", "null"));
        assertEquals(0, uncapped.attention().softCap());
        assertEquals(0, uncapped.embedding().logitCap());
    }

    @Test
    void mistralHasAWindowInItsFirstVersionOnly() {
        String first = """
            {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 2,
             "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "rope_theta": 10000.0,
             "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "sliding_window": 4096, "hidden_act": "silu"}\
            """;
        assertEquals(List.of(4096, 4096), read(first).attention().windows());
        assertEquals(
                List.of(),
                read(first.replace("\"sliding_window\": 4096", "\"sliding_window\": null"))
                        .attention()
                        .windows());
    }

    @Test
    void anAbsentWindowIsNotNoWindow() {
        String json = """
            {"model_type": "mistral", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 64}\
            """;
        assertEquals(List.of(4096), read(json).attention().windows());
    }

    @Test
    void scalingHoldsInBlocksWithWindowsUnlessTheyHaveABaseOfTheirOwn() {
        TransformerConfig config = read("""
            {"model_type": "mistral", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 64, "sliding_window": 5,
             "rope_scaling": {"type": "linear", "factor": 4.0}}\
            """);
        assertEquals(0, config.rotary().localBase());
        assertEquals(RotaryScaling.LINEAR, config.rotary().scaling());
    }

    @Test
    void windowsOfQwenAreUsedOnlyWhereTheFileSaysSo() {
        String json = """
            {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 4,
             "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "rope_theta": 1000000.0,
             "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "sliding_window": 32768,
             "max_window_layers": 2, "use_sliding_window": false, "hidden_act": "silu", "tie_word_embeddings": true}\
            """;
        assertEquals(List.of(), read(json).attention().windows());
        assertTrue(read(json).attention().biases());
        assertEquals(
                List.of(0, 0, 32768, 32768),
                read(json.replace("\"use_sliding_window\": false", "\"use_sliding_window\": true"))
                        .attention()
                        .windows());
    }

    @Test
    void pythiaRotatesAQuarterOfEachHead() {
        TransformerConfig config = read("""
            {"model_type": "gpt_neox", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6,
             "num_attention_heads": 8, "vocab_size": 50304, "max_position_embeddings": 2048, "rotary_pct": 0.25,
             "rotary_emb_base": 10000, "use_parallel_residual": true, "hidden_act": "gelu", "layer_norm_eps": 1e-05,
             "tie_word_embeddings": false}\
            """);
        assertEquals(16, config.rotary().dims());
        assertTrue(config.parallel());
        assertEquals(Activation.GELU, config.mlp().activation());
        assertFalse(config.isRms());
        assertEquals(WeightProcessing.DEFAULT, WeightProcessing.DEFAULT.forModel("pythia-70m", config));
    }

    @Test
    void gpt2HasLearnedPositions() {
        assertNull(read("{\"n_embd\": 8, \"n_positions\": 16, \"n_head\": 2, \"n_layer\": 3, \"vocab_size\": 300}")
                .rotary());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        "rope_type": "llama3" | "rope_type": "yarn" | 'rope_type' should be one of default, linear, llama3, not "yarn".
        "factor": 8.0 | "factor": -1 | 'factor' should be a positive number, not -1.
        "mlp_bias": false | "mlp_bias": true | 'mlp_bias' should be false, not true.
        "num_hidden_layers": 32 | "num_hidden_layers": 2000000000 | 'num_hidden_layers' should be at most 10000, not\
         2000000000.
        "mlp_bias": false | "partial_rotary_factor": 0.5 | 'partial_rotary_factor' should be 1, not 0.5.
        "silu" | "relu" | 'hidden_act' should be one of silu, gelu, gelu_new, gelu_pytorch_tanh, not "relu".
        "num_key_value_heads": 8 | "num_key_value_heads": 5 | 'num_key_value_heads' should be a divisor of\
         num_attention_heads, 32, not 5.
        "use_cache" | "quantization_config": {"bits": 4}, "use_cache" | 'quantization_config' should be absent:\
         quantized weights are not supported, not {"bits":4}.
        "hidden_size": 4096 | "hidden_size": 4100 | 'hidden_size' 4100 should be a multiple of 'num_attention_heads' 32.
        "rope_theta" | "rope_tetha": 1, "rope_theta" | unknown key 'rope_tetha'. Did you mean 'rope_theta'?
        "model_type": "llama" | "model_type": "gpt_oss" | models of type 'gpt_oss' have a mixture of experts and\
         attention sinks, which is not supported; supported are
        """)
    void whatIsNotSupportedIsRefusedByName(String from, String to, String message) {
        String changed = LLAMA_31.replaceFirst(Pattern.quote(from), to);
        String said = assertThrows(InputException.class, () -> read(changed)).getMessage();
        assertTrue(said.contains(message), said);
    }

    @Test
    void aProcessingThatChangesPredictionsIsRefused() {
        TransformerConfig llama = read(LLAMA_31);
        assertEquals(new WeightProcessing(true, false, true, true), WeightProcessing.DEFAULT.forModel("llama", llama));
        assertEquals(
                "model llama has RMSNorm, which does not take off the mean: its writing weights cannot be centred. Load"
                        + " it with the default processing or with none.",
                assertThrows(InputException.class, () -> WeightProcessing.CENTERED.forModel("llama", llama))
                        .getMessage());
    }
}
