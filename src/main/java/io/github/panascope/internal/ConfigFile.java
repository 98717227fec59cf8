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

/** A JSON object that is read strictly: each error message names the file, the key, the value and what was expected. */
public final class ConfigFile {
    /**
     * Uses Java's own parser of numbers, as the tables of the fast one take longer to create than these few numbers to
     * parse. Duplicate keys are refused, where Python silently takes the last one: one of the two is a mistake, and it
     * may be the one that would count. NaN and Infinity are accepted, as Python writes them.
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
     * Reads a file that contains one JSON object.
     *
     * @param file the file, in UTF-8
     * @return the object
     * @throws InputException if the file is missing, cannot be read, or is not a JSON object
     */
    public static ConfigFile read(Path file) {
        return parse(file.toString(), TextFile.read(file));
    }

    /**
     * Parses a JSON object.
     *
     * @param place name of its source for error messages
     * @param text  the JSON text
     * @return the object
     * @throws InputException if the text is not a JSON object
     */
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

    /**
     * Wraps an object inside another file, such as an element of a list.
     *
     * @param place  name of its source for error messages
     * @param object the JSON value
     * @return the object
     * @throws InputException if the value is not a JSON object
     */
    public static ConfigFile of(String place, JsonNode object) {
        if (!object.isObject())
            throw new InputException(place + " should be a JSON object, not " + shorten(object) + ".");
        return new ConfigFile(place, object);
    }

    /**
     * Returns this object with other values for some keys.
     *
     * @param values the keys and their new values, as the text of a JSON object
     * @param here   the keys that belong to this object itself
     * @param nested name of a nested object that takes the keys that are not among {@code here}; if there is no such
     *     object, they go into this one
     * @return a changed copy
     */
    public ConfigFile with(String values, Set<String> here, String nested) {
        ObjectNode changed = ((ObjectNode) object).deepCopy();
        JSON.readTree(values).forEachEntry((key, value) -> {
            boolean inside = !here.contains(key) && changed.path(nested).isObject();
            (inside ? (ObjectNode) changed.get(nested) : changed).set(key, value);
        });
        return new ConfigFile(place, changed);
    }

    /** {@return the name of the source, for error messages} */
    public String place() {
        return place;
    }

    /** {@return the object as JSON text} */
    public String json() {
        return JSON.writeValueAsString(object);
    }

    /** {@return the keys, in the order of the file} */
    public List<String> keys() {
        return List.copyOf(object.propertyNames());
    }

    /**
     * Returns whether a key is present and its value is not null.
     *
     * @param key the key
     * @return true if it has a value
     */
    public boolean has(String key) {
        return object.has(key) && !object.get(key).isNull();
    }

    /**
     * Returns a nested object.
     *
     * @param key the key
     * @return the object; empty if the key is absent or its value is null
     * @throws InputException if the value is not an object
     */
    public Optional<ConfigFile> object(String key) {
        if (!has(key)) return Optional.empty();
        if (!object.get(key).isObject()) throw wrong(key, "an object");
        return Optional.of(new ConfigFile(place + ": " + key, object.get(key)));
    }

    /**
     * Returns a positive whole number.
     *
     * @param key the key
     * @return the number, at least 1
     * @throws InputException if the key is absent or its value is not such a number
     */
    public int size(String key) {
        require(key, "a positive whole number");
        JsonNode value = object.get(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() <= 0)
            throw wrong(key, "a positive whole number");
        return value.intValue();
    }

    /**
     * Returns a positive whole number or a default.
     *
     * @param key      the key
     * @param ifAbsent the default, where the key is absent or its value is null
     * @return the number or the default
     * @throws InputException if the value is not such a number
     */
    public int size(String key, int ifAbsent) {
        return has(key) ? size(key) : ifAbsent;
    }

    /**
     * Returns a whole number that is not negative.
     *
     * @param key the key
     * @return the number, at least 0
     * @throws InputException if the key is absent or its value is not such a number
     */
    public int count(String key) {
        require(key, "a whole number");
        JsonNode value = object.get(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 0)
            throw wrong(key, "a whole number");
        return value.intValue();
    }

    /**
     * Returns a finite number or a default.
     *
     * @param key      the key
     * @param ifAbsent the default, where the key is absent or its value is null
     * @return the number or the default
     * @throws InputException if the value is not a finite number
     */
    public double number(String key, double ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isNumber() || !Double.isFinite(object.get(key).doubleValue()))
            throw wrong(key, "a finite number");
        return object.get(key).doubleValue();
    }

    /**
     * Returns a positive number or a default.
     *
     * @param key      the key
     * @param ifAbsent the default, where the key is absent or its value is null; one that is not positive makes the key
     *     required
     * @return the number or the default
     * @throws InputException if the value is not a finite number greater than 0
     */
    public double positive(String key, double ifAbsent) {
        double value = number(key, ifAbsent);
        if (!(value > 0)) throw wrong(key, "a positive number");
        return value;
    }

    /**
     * Returns a boolean or a default.
     *
     * @param key      the key
     * @param ifAbsent the default, where the key is absent or its value is null
     * @return the value or the default
     * @throws InputException if the value is not a boolean
     */
    public boolean flag(String key, boolean ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isBoolean()) throw wrong(key, "true or false");
        return object.get(key).booleanValue();
    }

    /**
     * Returns a text.
     *
     * @param key the key
     * @return the text
     * @throws InputException if the key is absent or its value is not a string
     */
    public String text(String key) {
        require(key, "a text");
        return text(key, null);
    }

    /**
     * Returns a text or a default.
     *
     * @param key      the key
     * @param ifAbsent the default, where the key is absent or its value is null
     * @return the text or the default
     * @throws InputException if the value is not a string
     */
    public String text(String key, String ifAbsent) {
        if (!has(key)) return ifAbsent;
        if (!object.get(key).isString()) throw wrong(key, "a text");
        return object.get(key).stringValue();
    }

    /**
     * Returns a value of any type; for keys whose type has changed over time.
     *
     * @param key the key
     * @return the value; null if the key is absent
     */
    public JsonNode value(String key) {
        return object.get(key);
    }

    /**
     * Returns a value that has a given form.
     *
     * @param key  the key
     * @param form tests the value
     * @return the value; empty if the key is absent or the value does not have the form
     */
    public Optional<JsonNode> value(String key, Predicate<JsonNode> form) {
        return Optional.ofNullable(object.get(key)).filter(form);
    }

    /**
     * Creates the exception for a value that is not as expected.
     *
     * @param key      the key
     * @param expected what the value should be
     * @return the exception, to be thrown by the caller
     */
    public InputException wrong(String key, String expected) {
        return new InputException(
                place + ": '" + key + "' should be " + expected + ", not " + shorten(object.get(key)) + ".");
    }

    private static String shorten(JsonNode value) {
        if (value == null) return "absent";
        String text = value.isNumber() ? value.asString() : value.toString(); // toString() puts NaN in quotes
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }

    private void require(String key, String expected) {
        if (has(key)) return;
        if (object.has(key)) throw wrong(key, expected); // the value is null
        String meant = keys().stream()
                .filter(found -> Suggestions.closest(found, List.of(key)).isPresent())
                .findFirst()
                .map(found -> " It has '" + found + "': did you mean '" + key + "'?")
                .orElse("");
        throw new InputException(place + " has no '" + key + "', which should be " + expected + "." + meant);
    }

    /**
     * Checks the keys that are not read. A key that is almost an understood one is an error: it was meant to change the
     * computation, and would have no effect.
     *
     * @param understood keys that are read
     * @param harmless   keys that are known to have no effect
     * @return the keys that are not read
     * @throws InputException if a key that is not harmless is almost an understood one
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
