package io.github.panascope.sae;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import tools.jackson.databind.json.JsonMapper;

/** Addresses on Neuronpedia. Nothing here opens a connection. */
public final class Neuronpedia {
    private Neuronpedia() {}

    /**
     * The quick list of some features, as SAELens's {@code get_neuronpedia_quick_list} makes it; empty if the SAE has
     * no page.
     */
    public static Optional<String> quickList(SaeConfig sae, List<Integer> features, String name) {
        String[] parts = sae.neuronpediaId() == null
                ? new String[0]
                : sae.neuronpediaId().split("/");
        if (parts.length < 2) return Optional.empty();
        String layer = parts[1];
        // Python's json.dumps writes a space after commas and colons, and that is part of the address.
        String list = features.stream()
                .map(feature -> "{\"modelId\": " + json(sae.modelName()) + ", \"layer\": " + json(layer)
                        + ", \"index\": \"" + feature + "\"}")
                .collect(Collectors.joining(", ", "[", "]"));
        return Optional.of("https://neuronpedia.org/quick-list/?name=" + quote(name) + "&features=" + quote(list));
    }

    /** The address of a feature's page, its number left off; empty if the SAE has none. */
    public static Optional<String> featurePages(SaeConfig sae) {
        return sae.neuronpediaId() == null || !sae.neuronpediaId().contains("/")
                ? Optional.empty()
                : Optional.of("https://neuronpedia.org/" + sae.neuronpediaId() + "/");
    }

    private static String json(String text) {
        return text == null ? "null" : JsonMapper.shared().writeValueAsString(text);
    }

    /** urllib.parse.quote: everything but letters, digits and {@code _.-~/}. */
    private static String quote(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8)
                .replace("+", "%20")
                .replace("*", "%2A")
                .replace("%7E", "~")
                .replace("%2F", "/");
    }
}
