package io.github.panascope.sae;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import tools.jackson.databind.json.JsonMapper;

/** Addresses of pages on Neuronpedia. No method opens a connection. */
public final class Neuronpedia {
    private Neuronpedia() {}

    /**
     * Builds the address of a quick list of features, as SAELens's {@code get_neuronpedia_quick_list} does. The model
     * is the one of the SAE's id on Neuronpedia. SAELens takes TransformerLens's name, which most models have besides.
     *
     * @param sae      the configuration of the SAE
     * @param features the features, from 0
     * @param name     the name of the list
     * @return the address; empty if the SAE has no page
     */
    public static Optional<String> quickList(SaeConfig sae, List<Integer> features, String name) {
        String[] parts = sae.neuronpediaId() == null
                ? new String[0]
                : sae.neuronpediaId().split("/");
        if (parts.length < 2) return Optional.empty();
        String model = parts[0];
        String layer = parts[1];
        // Python's json.dumps writes a space after commas and colons, which becomes part of the address.
        String list = features.stream()
                .map(feature -> "{\"modelId\": " + json(model) + ", \"layer\": " + json(layer) + ", \"index\": \""
                        + feature + "\"}")
                .collect(Collectors.joining(", ", "[", "]"));
        return Optional.of("https://neuronpedia.org/quick-list/?name=" + quote(name) + "&features=" + quote(list));
    }

    /**
     * Builds the address of the pages of an SAE's features, up to the number of the feature.
     *
     * @param sae the configuration of the SAE
     * @return the address, which ends in a slash; empty if the SAE has no page
     */
    public static Optional<String> featurePages(SaeConfig sae) {
        return sae.neuronpediaId() == null || !sae.neuronpediaId().contains("/")
                ? Optional.empty()
                : Optional.of("https://neuronpedia.org/" + sae.neuronpediaId() + "/");
    }

    private static String json(String text) {
        return JsonMapper.shared().writeValueAsString(text);
    }

    /** Quotes a text as Python's urllib.parse.quote does: everything except letters, digits and {@code _.-~/}. */
    private static String quote(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8)
                .replace("+", "%20")
                .replace("*", "%2A")
                .replace("%7E", "~")
                .replace("%2F", "/");
    }
}
