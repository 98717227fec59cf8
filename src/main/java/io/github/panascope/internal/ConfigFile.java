package io.github.panascope.internal;

import io.github.panascope.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A JSON object read strictly: every complaint names the file, the key, the value and what was expected. */
public final class ConfigFile {
    /**
     * Java's own parser of numbers: the fast one's tables take longer to make than these few numbers to read. A key
     * twice is refused, where Python takes the last one in silence: one of the two is a mistake, and it may be the one
     * that would be used. NaN and Infinity are read, as Python writes them.
     */
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .disable(StreamReadFeature.USE_FAST_DOUBLE_PARSER)
            .build();

    private final String place;
    private final JsonNode object;

    private ConfigFile(String place, JsonNode object) {
        this.place = place;
        this.object = object;
    }

    /**
     * Reads a file that holds one JSON object.
     *
     * @throws InputException if it is missing, cannot be read, or is not a JSON object
     */
    public static ConfigFile read(Path file) {
        return parse(file.toString(), TextFile.read(file));
    }

    /** Reads a JSON object from text; {@code place} names it in complaints. */
    public static ConfigFile parse(String place, String text) {
        JsonNode node;
        try {
            node = JSON.readTree(text);
        } catch (JacksonException e) {
            throw new InputException(
                    place + (JsonError.isKeyTwice(e) ? ": " : " is not valid JSON: ") + JsonError.of(e) + ".", e);
        }
        if (node == null || !node.isObject()) throw new InputException(place + " should hold a JSON object.");
        return new ConfigFile(place, node);
    }

    /** An object inside another file, such as one of a list; {@code place} names it in complaints. */
    public static ConfigFile of(String place, JsonNode object) {
        if (!object.isObject())
            throw new InputException(place + " should be a JSON object, not " + shorten(object) + ".");
        return new ConfigFile(place, object);
    }

    /**
     * The same with other values for some keys.
     *
     * @param values a JSON object
     * @param nested where keys of {@code values} go that {@code here} does not hold, if there is such an object
     */
    public ConfigFile with(String values, Set<String> here, String nested) {
        ObjectNode changed = ((ObjectNode) object).deepCopy();
        JSON.readTree(values).forEachEntry((key, value) -> {
            boolean inside = !here.contains(key) && changed.path(nested).isObject();
            (inside ? (ObjectNode) changed.get(nested) : changed).set(key, value);
        });
        return new ConfigFile(place, changed);
    }

    /** Where it was read from. */
    public String place() {
        return place;
    }

    /** The keys, in the file's order. */
    public List<String> keys() {
        return List.copyOf(object.propertyNames());
    }

    /** Whether a key is there and not null. */
    public boolean has(String key) {
        return object.has(key) && !object.get(key).isNull();
    }

    /** A nested object, if it is there and not null. */
    public Optional<ConfigFile> object(String key) {
        if (!has(key)) return Optional.empty();
        if (!object.get(key).isObject()) throw wrong(key, "an object");
        return Optional.of(new ConfigFile(place + ": " + key, object.get(key)));
    }

    /** A positive whole number that has to be there. */
    public int size(String key) {
        require(key, "a positive whole number");
        JsonNode value = object.get(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() <= 0)
            throw wrong(key, "a positive whole number");
        return value.intValue();
    }

    /** A positive whole number, or a default. */
    public int size(String key, int ifAbsent) {
        return has(key) ? size(key) : ifAbsent;
    }

    /** A whole number of at least 0 that has to be there. */
    public int count(String key) {
        require(key, "a whole number");
        JsonNode value = object.get(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 0)
            throw wrong(key, "a whole number");
        return value.intValue();
    }

    /** A finite number, or a default. */
    public double number(String key, double ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isNumber() || !Double.isFinite(object.get(key).doubleValue()))
            throw wrong(key, "a finite number");
        return object.get(key).doubleValue();
    }

    /** true or false, or a default. */
    public boolean flag(String key, boolean ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isBoolean()) throw wrong(key, "true or false");
        return object.get(key).booleanValue();
    }

    /** A text that has to be there. */
    public String text(String key) {
        require(key, "a text");
        return text(key, null);
    }

    /** A text, or a default. */
    public String text(String key, String ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isString()) throw wrong(key, "a text");
        return object.get(key).stringValue();
    }

    /**
     * Whether the value is a text, a number, true or false, an object or a list; for keys that changed type over time.
     */
    public JsonNode value(String key) {
        return object.get(key);
    }

    /** A value, if it is there and has that form. */
    public Optional<JsonNode> value(String key, Predicate<JsonNode> form) {
        return Optional.ofNullable(object.get(key)).filter(form);
    }

    /** The complaint that a value is not what it should be. */
    public InputException wrong(String key, String expected) {
        return new InputException(
                place + ": '" + key + "' should be " + expected + ", not " + shorten(object.get(key)) + ".");
    }

    private static String shorten(JsonNode value) {
        if (value == null) return "absent";
        String text = value.isNumber() ? value.asString() : value.toString(); // which puts NaN in quotes
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }

    private void require(String key, String expected) {
        if (has(key)) return;
        if (object.has(key)) throw wrong(key, expected); // null
        String meant = keys().stream()
                .filter(found -> Suggestions.closest(found, List.of(key)).isPresent())
                .findFirst()
                .map(found -> " It has '" + found + "': did you mean '" + key + "'?")
                .orElse("");
        throw new InputException(place + " has no '" + key + "', which should be " + expected + "." + meant);
    }

    /**
     * Goes through the keys that nothing asked for. One that is nearly an understood key is an error: it was meant to
     * change the mathematics, and would be lost.
     *
     * @param understood keys that are read
     * @param harmless   keys known to change nothing here
     * @return the keys that are skipped
     */
    public List<String> skipped(Set<String> understood, Collection<String> harmless) {
        List<String> skipped = new ArrayList<>();
        for (String key : keys()) {
            if (understood.contains(key)) continue;
            if (!harmless.contains(key)) {
                Suggestions.closest(key, understood).ifPresent(near -> {
                    throw new InputException(place + ": unknown key '" + key + "'. Did you mean '" + near + "'?");
                });
            }
            skipped.add(key);
        }
        return skipped;
    }
}
