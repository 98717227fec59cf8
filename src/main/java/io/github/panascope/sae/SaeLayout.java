package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A layout in which SAEs are published: which files there are, and how they become a configuration and weights under
 * SAELens's names. One class for each of SAELens's loaders.
 */
interface SaeLayout {
    /** The layouts that can be loaded, by SAELens's names of their loaders. */
    Map<String, SaeLayout> SUPPORTED = new TreeMap<>(Map.ofEntries(
            Map.entry("sae_lens", new SaeLensLayout()),
            Map.entry("connor_rob_hook_z", new ConnorRobLayout()),
            Map.entry("dictionary_learning_1", new DictionaryLearningLayout()),
            Map.entry("gemma_2", new GemmaScopeLayout()),
            Map.entry("gemma_2_transcoder", new GemmaScopeTranscoderLayout()),
            Map.entry("gemma_3", new GemmaScope2Layout()),
            Map.entry("llama_scope", new LlamaScopeLayout()),
            Map.entry("llama_scope_r1_distill", new LlamaScopeR1Layout()),
            Map.entry("qwen_scope", new QwenScopeLayout()),
            Map.entry("mwhanna_transcoder", new HannaTranscoderLayout()),
            Map.entry("mntss_clt_layer_transcoder", new CrossLayerLayout()),
            Map.entry("goodfire", new LinearLayout("encoder_linear", "decoder_linear")),
            Map.entry("deepseek_r1", new LinearLayout("encoder", "decoder"))));

    /** Returns what an entry of the registry tells before anything is fetched. */
    SaePlan plan(SaeRegistry.Entry sae);

    /** Fetches the files of an SAE that are not in the cache, and reads the configuration. */
    SaeFiles find(SaeRegistry.Entry sae, Hub hub);

    /** Returns the layout of one of SAELens's loaders; empty if it is not supported. */
    static Optional<SaeLayout> of(String loader) {
        return Optional.ofNullable(SUPPORTED.get(loader));
    }

    /** Returns why the layout of an SAE is not supported, one sentence. */
    static String refusal(SaeRegistry.Entry sae) {
        String of =
                "SAE " + sae.name() + " (of " + sae.model() + ") is published in the layout '" + sae.loader() + "', ";
        return sae.loader().equals("temporal")
                ? of + "whose features depend on earlier positions too; such SAEs are not supported."
                : of + "which is not supported; supported are " + String.join(", ", SUPPORTED.keySet()) + ".";
    }

    // ------------------------------------------------------------------------------------------------- for layouts

    /** Returns a configuration of SAELens before version 6, to which a layout adds what it says. */
    static ObjectNode config(Architecture architecture) {
        return JsonMapper.shared()
                .createObjectNode()
                .put("architecture", architecture.toString())
                .put("apply_b_dec_to_input", false)
                .put("prepend_bos", true);
    }

    /**
     * Reads the configuration that a layout made.
     *
     * @param place  the file that it was made from, for messages
     * @param config the configuration, in which the registry's values replace others
     */
    static SaeConfig.Parsed parse(String place, ObjectNode config, SaeRegistry.Entry sae) {
        return SaeConfig.parse(SaeConfig.overridden(ConfigFile.parse(place, config.toString()), sae.configOverrides()));
    }

    /** Reads the configuration that a layout made from a file of JSON, whose keys count as not needed. */
    static SaeConfig.Parsed parse(ConfigFile from, ObjectNode config, SaeRegistry.Entry sae) {
        return new SaeConfig.Parsed(parse(from.place(), config, sae).config(), from.keys());
    }

    /** Applies a function to the tensors of a file, of which none is kept. */
    static <T> T peek(Path file, Function<StateDict, T> function) {
        try (TensorScope scope = TensorScope.open()) {
            return function.apply(StateDict.open(file, scope));
        }
    }

    /** Puts d_in and d_sae of a matrix that a file holds, the dimensions of which are named in order. */
    static void putSizes(ObjectNode config, Path file, String matrix, List<String> dimensions) {
        String other = matrix.replaceFirst("^w_", "W_"); // files of Gemma Scope have either
        Shape shape = peek(file, tensors -> tensors.shape(tensors.has(other) ? other : matrix));
        if (shape.rank() != dimensions.size())
            throw new InputException(file + ": tensor '" + matrix + "' has shape " + shape + ", and ["
                    + String.join(", ", dimensions) + "] was expected.");
        for (int i = 0; i < dimensions.size(); i++) config.put(dimensions.get(i), shape.size(i));
    }

    /** Returns the text that a pattern's group finds in a name of an SAE, which has to be there. */
    static String found(Pattern pattern, String text, SaeRegistry.Entry sae, String what) {
        Matcher matcher = pattern.matcher(text);
        if (!matcher.find())
            throw new InputException("SAE " + sae.name() + ": '" + text + "' does not say " + what + ".");
        return matcher.group(1);
    }
}
