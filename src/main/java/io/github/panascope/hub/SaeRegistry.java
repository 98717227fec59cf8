package io.github.panascope.hub;

import io.github.panascope.InputException;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.internal.Yaml;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The registry of published SAE releases, whose SAEs are named RELEASE/SAE_ID, as in SAELens's pretrained_saes.yaml. It
 * consists of the data that tests/peers/make_registry.py extracts from the installed Python package, and of YAML files
 * in the format of SAELens that a user adds. Thread-safe.
 */
public final class SaeRegistry {
    /**
     * One SAE of a release.
     *
     * @param release           name of the release
     * @param id                id of the SAE in its release
     * @param repo              id of the model repository on the hub
     * @param path              folder or file of the SAE in that repository
     * @param model             TransformerLens name of the model that the SAE was trained on
     * @param loader            SAELens's name for the layout of the files; {@code sae_lens} for its own layout
     * @param l0                mean L0 that the authors report, or NaN
     * @param neuronpediaId     id on Neuronpedia such as {@code gpt2-small/8-res-jb}, or null
     * @param normScalingFactor factor to fold into weights that were trained on scaled activations, or NaN
     * @param varianceExplained share of explained variance that the authors report, or NaN
     * @param configOverrides   values that replace those of the configuration file, as the text of a JSON object
     * @param links             addresses of pages about the release, by kind
     */
    public record Entry(
            String release,
            String id,
            String repo,
            String path,
            String model,
            String loader,
            double l0,
            @Nullable String neuronpediaId,
            double normScalingFactor,
            double varianceExplained,
            String configOverrides,
            Map<String, String> links) {
        /**
         * Returns SAELens's name of the architecture, where the layout of the files or the path determines it.
         *
         * @return the name, such as {@code jumprelu}; null where only the configuration file holds it
         */
        public @Nullable String architecture() {
            return switch (loader) {
                case "connor_rob_hook_z", "goodfire", "deepseek_r1" -> "standard";
                case "gemma_2", "llama_scope", "llama_scope_r1_distill" -> "jumprelu";
                case "gemma_3" ->
                    !path.contains("transcoder") && !path.contains("clt")
                            ? "jumprelu"
                            : path.contains("affine") ? "jumprelu_skip_transcoder" : "jumprelu_transcoder";
                case "gemma_2_transcoder" -> "jumprelu_transcoder";
                case "mwhanna_transcoder", "mntss_clt_layer_transcoder" -> "transcoder";
                case "qwen_scope" -> "topk";
                case "temporal" -> "temporal";
                default -> null;
            };
        }

        /** {@return the name RELEASE/SAE_ID} */
        public String name() {
            return release + "/" + id;
        }
    }

    private static final List<String> COLUMNS =
            List.of("id", "path", "l0", "neuronpedia", "norm_scaling_factor", "variance_explained");

    /** The registry that the jar contains. It is read on first use, as most SAEs are named by a folder. */
    private static final SaeRegistry BUNDLED = new SaeRegistry(true);

    private final Map<String, Map<String, Entry>> releases = new TreeMap<>();
    private boolean unread;

    private SaeRegistry(boolean unread) {
        this.unread = unread;
    }

    /** {@return the registry that the jar contains} */
    public static SaeRegistry bundled() {
        return BUNDLED;
    }

    private synchronized Map<String, Map<String, Entry>> byRelease() {
        if (!unread) return releases;
        unread = false;
        try (InputStream in = SaeRegistry.class.getResourceAsStream("pretrained_saes.json")) {
            JsonMapper.shared()
                    .readTree(in)
                    .get("releases")
                    .forEachEntry((name, node) -> add("pretrained_saes.json", name, node));
            return releases;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Returns this registry together with the releases of a YAML file. A release of the file replaces one of the same
     * name.
     *
     * @param yaml a file in the format of SAELens's pretrained_saes.yaml
     * @return a new registry; this one is unchanged
     * @throws InputException if the file cannot be read, is malformed or lacks a required value
     */
    public SaeRegistry with(Path yaml) {
        SaeRegistry joined = new SaeRegistry(false);
        joined.releases.putAll(byRelease());
        JsonNode root = Yaml.read(yaml);
        if (!root.isObject()) throw new InputException(yaml + " should map the names of releases to what they are.");
        root.forEachEntry((name, node) -> joined.add(yaml.toString(), name, node));
        return joined;
    }

    private void add(String place, String release, JsonNode node) {
        String where = place + ": release '" + release + "'";
        if (!node.isObject() || !node.path("saes").isArray())
            throw new InputException(where + " should have repo_id, model and a list 'saes'.");
        String repo = required(where, node, "repo_id");
        String model = required(where, node, "model");
        try {
            HubRepo.model(repo);
        } catch (InputException e) {
            throw new InputException(where + ": " + e.getMessage(), e);
        }
        String loader = node.path("conversion_func").asString("sae_lens");
        Map<String, String> links = new LinkedHashMap<>();
        node.path("links").forEachEntry((kind, link) -> links.put(kind, link.asString("")));
        Map<String, Entry> saes = new LinkedHashMap<>();
        for (JsonNode sae : node.get("saes")) {
            String id = required(where, sae, "id");
            String path = value(sae, "path").asString(id);
            String neuronpedia = value(sae, "neuronpedia").asString(null);
            String overrides = overrides(node, neuronpedia);
            saes.put(
                    id,
                    new Entry(
                            release,
                            id,
                            repo,
                            path,
                            model,
                            loader,
                            number(sae, "l0"),
                            neuronpedia,
                            number(sae, "norm_scaling_factor"),
                            number(sae, "variance_explained"),
                            overrides,
                            Map.copyOf(links)));
        }
        byRelease().put(release, Collections.unmodifiableMap(saes));
    }

    /** Returns the configuration overrides in SAELens's order: those of the release, then the SAE's Neuronpedia id. */
    private static String overrides(JsonNode release, String neuronpedia) {
        var overrides = JsonMapper.shared().createObjectNode();
        release.path("config_overrides").forEachEntry(overrides::set);
        if (neuronpedia != null) overrides.put("neuronpedia_id", neuronpedia);
        return overrides.toString();
    }

    /** Returns a value of an SAE, which is a mapping in YAML and a row in the bundled file. */
    private static JsonNode value(JsonNode sae, String key) {
        return sae.isArray() ? sae.path(COLUMNS.indexOf(key)) : sae.path(key);
    }

    private static String required(String where, JsonNode node, String key) {
        JsonNode value = value(node, key);
        if (value.isMissingNode() || value.isNull() || value.isContainer())
            throw new InputException(where + " lacks '" + key + "'.");
        return value.asString();
    }

    private static double number(JsonNode sae, String key) {
        return value(sae, key).asDouble(Double.NaN);
    }

    /** {@return a description with the number of releases; the bundled registry is not read for it} */
    @Override
    public synchronized String toString() {
        return unread ? "SaeRegistry, bundled and not read yet" : "SaeRegistry of " + releases.size() + " releases";
    }

    /** {@return the names of all releases, sorted; unmodifiable} */
    public Collection<String> releases() {
        return Collections.unmodifiableSet(byRelease().keySet());
    }

    /** {@return all SAEs, release by release} */
    public Stream<Entry> entries() {
        return byRelease().values().stream().flatMap(saes -> saes.values().stream());
    }

    /**
     * Returns whether a name begins with a release of this registry.
     *
     * @param name a name such as RELEASE/SAE_ID
     * @return true if the part before the first slash is the name of a release
     */
    public boolean knows(String name) {
        return byRelease().containsKey(name.split("/", 2)[0]);
    }

    /**
     * Returns the SAE of a name.
     *
     * @param name RELEASE/SAE_ID; the id may contain slashes
     * @return the SAE
     * @throws InputException if the release or the id is unknown; the message suggests the most similar name
     */
    public Entry find(String name) {
        int slash = name.indexOf('/');
        String release = slash < 0 ? name : name.substring(0, slash);
        Map<String, Entry> saes = byRelease().get(release);
        if (saes == null) {
            throw new InputException("SAE release '" + release + "' is not known, and no folder of that name exists."
                    + Suggestions.didYouMean(release, byRelease().keySet())
                    + " OWNER/REPO/PATH names any folder on the hub.");
        }
        String id = slash < 0 ? "" : name.substring(slash + 1);
        Entry entry = saes.get(id);
        if (entry == null) {
            List<String> first = saes.keySet().stream().limit(13).toList();
            throw new InputException((id.isEmpty()
                            ? "'" + name + "' names a release of SAEs, and not one of them (" + name + "/SAE_ID)."
                            : "release '" + release + "' has no SAE '" + id + "'.")
                    + Suggestions.didYouMean(id, saes.keySet()) + " It has " + String.join(", ", first)
                    + (saes.size() > first.size() ? ", ... (" + saes.size() + " in all)." : "."));
        }
        return entry;
    }
}
