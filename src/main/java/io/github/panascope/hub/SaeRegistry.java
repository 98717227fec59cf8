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
 * The published SAE releases that can be named as RELEASE/SAE_ID, as SAELens's pretrained_saes.yaml lists them: the
 * data that tests/peers/make_registry.py makes from the installed Python package, and files in the format of that one
 * that a user adds.
 */
public final class SaeRegistry {
    /**
     * One SAE of a release.
     *
     * @param release           the release's name
     * @param id                the SAE's id in it
     * @param repo              the hub repository
     * @param path              its folder or file there
     * @param model             the TransformerLens name of its model
     * @param loader            SAELens's name for the layout of its files; {@code sae_lens} for its own
     * @param l0                the mean L0 that its authors report, or NaN
     * @param neuronpediaId     such as {@code gpt2-small/8-res-jb}, or null
     * @param normScalingFactor what to fold into weights that were trained on scaled activations, or NaN
     * @param varianceExplained the share that its authors report, or NaN
     * @param configOverrides   values that take the place of those in its configuration file, a JSON object
     * @param links             pages about the release, by kind
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
         * Its architecture by SAELens's name, where the layout or the path settles it; null where only its
         * configuration file says.
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

        /** How to name it: RELEASE/SAE_ID. */
        public String name() {
            return release + "/" + id;
        }
    }

    private static final List<String> COLUMNS =
            List.of("id", "path", "l0", "neuronpedia", "norm_scaling_factor", "variance_explained");

    /** The registry that the jar carries: read when it is first looked into, as most SAEs are named by a folder. */
    private static final SaeRegistry BUNDLED = new SaeRegistry(true);

    private final Map<String, Map<String, Entry>> releases = new TreeMap<>();
    private boolean unread;

    private SaeRegistry(boolean unread) {
        this.unread = unread;
    }

    /** The registry that the jar carries. */
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
     * This registry and the releases of a user's own YAML file, in the format of SAELens's; a release of the same name
     * is replaced.
     *
     * @throws InputException if the file cannot be read or lacks something
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

    /** As SAELens orders them: what the release says, then the SAE's page. */
    private static String overrides(JsonNode release, String neuronpedia) {
        var overrides = JsonMapper.shared().createObjectNode();
        release.path("config_overrides").forEachEntry(overrides::set);
        if (neuronpedia != null) overrides.put("neuronpedia_id", neuronpedia);
        return overrides.toString();
    }

    /** A value of an SAE, which is a mapping in YAML and a row in the bundled file. */
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

    /** What it holds, for people; the bundled one is not read for that. */
    @Override
    public synchronized String toString() {
        return unread ? "SaeRegistry, bundled and not read yet" : "SaeRegistry of " + releases.size() + " releases";
    }

    /** The names of all releases. */
    public Collection<String> releases() {
        return Collections.unmodifiableSet(byRelease().keySet());
    }

    /** All SAEs, release by release. */
    public Stream<Entry> entries() {
        return byRelease().values().stream().flatMap(saes -> saes.values().stream());
    }

    /** Whether a name begins with a release of this registry. */
    public boolean knows(String name) {
        return byRelease().containsKey(name.split("/", 2)[0]);
    }

    /**
     * The SAE that RELEASE/SAE_ID names. An id may itself hold slashes.
     *
     * @throws InputException if the release or the id is unknown; it names the nearest
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
