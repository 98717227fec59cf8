package io.github.panascope.families;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The models that TransformerLens and the registry of SAEs name, from the data that tests/peers/make_models.py
 * extracts. Names are looked up without regard to case, as TransformerLens does.
 */
public final class KnownModels {
    /**
     * A model that has a name.
     *
     * @param name         TransformerLens's official name, which is the id on the hub of all models that can be loaded
     * @param family       {@code model_type} of its {@code config.json}; null if it cannot be loaded
     * @param notSupported what the model has that is not supported; null if it can be loaded
     */
    public record KnownModel(
            String name, @Nullable String family, @Nullable String notSupported) {}

    private static final class Data {
        static final Map<String, KnownModel> BY_NAME = read();
    }

    private KnownModels() {}

    private static Map<String, KnownModel> read() {
        Map<String, KnownModel> byName = new LinkedHashMap<>();
        try (InputStream in = KnownModels.class.getResourceAsStream("models.json")) {
            for (JsonNode node : JsonMapper.shared().readTree(in).get("models")) {
                KnownModel model = new KnownModel(
                        node.get("name").stringValue(),
                        node.path("family").asString(null),
                        node.path("not_supported").asString(null));
                byName.put(model.name.toLowerCase(Locale.ROOT), model);
                for (JsonNode alias : node.path("aliases"))
                    byName.put(alias.stringValue().toLowerCase(Locale.ROOT), model);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Collections.unmodifiableMap(byName);
    }

    /**
     * Finds a model by its name or an alias.
     *
     * @param name the name, in upper or lower case
     * @return the model; empty if no model is known by that name
     */
    public static Optional<KnownModel> find(String name) {
        return Optional.ofNullable(Data.BY_NAME.get(name.toLowerCase(Locale.ROOT)));
    }

    /** {@return all names and aliases, in lower case} */
    public static Collection<String> names() {
        return Data.BY_NAME.keySet();
    }

    /**
     * Returns the revision on the hub that holds a state of a model's training, for the models whose authors publish
     * such states.
     *
     * @param name a name, an alias or a hub id
     * @param step the number of training steps
     * @return the revision; empty if no such states of the model are known
     */
    public static Optional<String> revisionOfStep(String name, long step) {
        String id = find(name).map(KnownModel::name).orElse(name);
        if (id.startsWith("stanford-crfm/")) return Optional.of("checkpoint-" + step);
        if (id.startsWith("EleutherAI/pythia")) return Optional.of("step" + step);
        return Optional.empty();
    }
}
