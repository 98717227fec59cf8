package io.github.panascope.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The published SAE releases that can be named as RELEASE/SAE_ID, as SAELens's pretrained_saes.yaml lists them. The data
 * is made from the installed Python package by tests/peers/make_registry.py.
 */
public final class SaeRegistry {
    /**
     * One SAE of a release.
     *
     * @param release      the release's name
     * @param id           the SAE's id in it
     * @param repo         the hub repository
     * @param path         its folder there
     * @param model        the TransformerLens name of its model
     * @param neuronpediaId such as {@code gpt2-small/8-res-jb}, or null
     * @param l0           the L0 that its authors report, or NaN
     * @param modelKwargs  from_pretrained arguments that the release asks for; empty if none
     */
    public record Entry(String release, String id, String repo, String path, String model, String neuronpediaId, double l0,
                        Map<String, Boolean> modelKwargs) {}

    private final Map<String, Map<String, Entry>> releases = new TreeMap<>();

    private SaeRegistry() {}

    /** The registry that the jar carries. */
    public static SaeRegistry bundled() {
        try (InputStream in = SaeRegistry.class.getResourceAsStream("pretrained_saes.json")) {
            SaeRegistry registry = new SaeRegistry();
            JsonMapper.shared().readTree(in).forEachEntry(registry::add);
            return registry;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void add(String release, JsonNode node) {
        Map<String, Boolean> kwargs = new LinkedHashMap<>();
        node.path("model_from_pretrained_kwargs").forEachEntry((key, value) -> kwargs.put(key, value.booleanValue()));
        Map<String, Entry> saes = new LinkedHashMap<>();
        node.get("saes").forEachEntry((id, sae) -> saes.put(id, new Entry(release, id, node.get("repo_id").stringValue(), sae.get("path").stringValue(),
                node.get("model").stringValue(), sae.has("neuronpedia") ? sae.get("neuronpedia").stringValue() : null,
                sae.path("l0").doubleValue(Double.NaN), Map.copyOf(kwargs))));
        releases.put(release, saes);
    }

    /** The names of all releases. */
    public List<String> releases() {
        return List.copyOf(releases.keySet());
    }

    /**
     * The SAE that RELEASE/SAE_ID names. An id may itself hold slashes.
     *
     * @throws InputException if the release or the id is unknown; it names the nearest
     */
    public Entry find(String name) {
        int slash = name.indexOf('/');
        String release = slash < 0 ? name : name.substring(0, slash);
        Map<String, Entry> saes = Optional.ofNullable(releases.get(release)).orElseThrow(() -> new InputException(
                "SAE release '" + release + "' is not known, and no folder of that name exists." + Nearest.advice(release, releases.keySet())
                        + " Known: " + String.join(", ", releases.keySet()) + "."));
        String id = slash < 0 ? "" : name.substring(slash + 1);
        Entry entry = saes.get(id);
        if (entry == null) {
            throw new InputException("release '" + release + "' has no SAE '" + id + "'." + Nearest.advice(id, saes.keySet())
                    + " It has " + String.join(", ", saes.keySet()) + ".");
        }
        return entry;
    }
}
