package io.github.panascope.spark;

import io.github.panascope.InputException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a folder of features is of, in its file {@code job.json}: the identity of the rows, and how they are cut into
 * units. It is written before the first unit, so that a job that is submitted again finds which rows are missing.
 *
 * @param identity the entries of the identity of the rows
 * @param text     the fingerprint of the token ids
 * @param rows     the number of rows
 * @param unitRows the number of rows of a unit; the last one may have fewer
 */
record JobPlan(Map<String, String> identity, String text, long rows, long unitRows) {
    private static final String FILE = "job.json";
    private static final String FORMAT = "panascope spark features 1";

    private static final int SHOWN = 60;

    List<Unit> units() {
        List<Unit> units = new ArrayList<>();
        for (long first = 0; first < rows; first += unitRows)
            units.add(new Unit(first, Math.min(rows, first + unitRows)));
        return units;
    }

    /**
     * Returns the plan of a folder, after writing this one if the folder has none.
     *
     * @throws InputException if the folder is of other rows
     */
    JobPlan in(HadoopFiles folder) {
        JobPlan there = read(folder);
        if (there == null) {
            if (folder.within(FeatureJob.UNITS).list().stream()
                    .anyMatch(file -> file.getPath().getName().endsWith(".json")))
                throw new InputException(folder + " holds rows, but no " + FILE
                        + ", which says what they are of: put it back, or use another folder, or delete this one.");
            folder.put(FILE, toJson());
            return this;
        }
        String difference = difference(identity, there.identity);
        if (!difference.isEmpty())
            throw new InputException(folder + " holds features of something else: " + difference
                    + ". Use another folder, or delete it.");
        if (!there.text.equals(text) || there.rows != rows)
            throw new InputException(folder + " holds other text: " + there.rows + " rows with the fingerprint "
                    + there.text + ", and this text makes " + rows + " rows with the fingerprint " + text
                    + ". Use another folder, or delete it.");
        return there;
    }

    /** {@return in which entries an identity differs from the one that is there; empty if in none} */
    static String difference(Map<String, String> here, Map<String, String> there) {
        TreeSet<String> keys = new TreeSet<>(here.keySet());
        keys.addAll(there.keySet());
        return keys.stream()
                .filter(key -> !Objects.equals(here.get(key), there.get(key)))
                .map(key -> key + " is " + shown(there.get(key)) + " there and " + shown(here.get(key)) + " here")
                .collect(Collectors.joining(", "));
    }

    /** {@return a value, of which a list of features may be long} */
    private static String shown(String value) {
        return value == null || value.length() <= SHOWN
                ? value
                : value.substring(0, SHOWN) + "... (" + value.split(",").length + ")";
    }

    /** {@return the plan of a folder; null if it has none} */
    static JobPlan read(HadoopFiles folder) {
        String text = folder.text(FILE);
        if (text == null) return null;
        try {
            JsonNode json = JsonMapper.shared().readTree(text);
            if (!json.path("format").asString("").equals(FORMAT))
                throw new InputException(folder + "/" + FILE + " is of another version of panascope, "
                        + json.path("format") + " where this one has '" + FORMAT + "': use another folder.");
            if (!CheckedJson.isWhole(json)) throw damaged(folder, null);
            Map<String, String> identity = new LinkedHashMap<>();
            json.required("identity").forEachEntry((key, value) -> identity.put(key, value.stringValue()));
            JobPlan plan = new JobPlan(
                    identity,
                    json.required("text").stringValue(),
                    json.required("rows").longValue(),
                    json.required("rows of a unit").longValue());
            if (plan.rows < 1 || plan.unitRows < 1) throw damaged(folder, null);
            return plan;
        } catch (JacksonException e) {
            throw damaged(folder, e);
        }
    }

    private static InputException damaged(HadoopFiles folder, Exception cause) {
        return new InputException(
                folder + "/" + FILE + " is damaged: put a copy of it back, or delete the folder.", cause);
    }

    private String toJson() {
        ObjectNode json = JsonMapper.shared().createObjectNode().put("format", FORMAT);
        ObjectNode entries = json.putObject("identity");
        identity.forEach(entries::put);
        json.put("text", text).put("rows", rows).put("rows of a unit", unitRows);
        return CheckedJson.text(json);
    }
}
