package io.github.panascope.spark;

import io.github.panascope.InputException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The files of a unit that one attempt of a task wrote. The driver names the attempt that counts in a marker, a small
 * file beside the unit's folder: what other attempts leave, also late, is never read.
 *
 * @param unit    the rows
 * @param attempt the name of the folder of this attempt, within the unit's folder
 * @param files   the files in it
 */
record UnitFiles(Unit unit, String attempt, List<HadoopFiles.Entry> files) implements Serializable {
    private static final String FORMAT = "panascope unit 1";

    static String marker(Unit unit) {
        return unit + ".json";
    }

    String toJson() {
        ObjectNode json =
                JsonMapper.shared().createObjectNode().put("format", FORMAT).put("attempt", attempt);
        ArrayNode array = json.putArray("files");
        for (HadoopFiles.Entry file : files)
            array.addArray()
                    .add(file.name())
                    .add(file.size())
                    .add(HexFormat.of().toHexDigits(file.checksum()));
        return CheckedJson.text(json);
    }

    /**
     * Reads a marker.
     *
     * @param units the folder of all units
     * @return the files; null if the unit has no marker
     * @throws InputException if the marker is damaged
     */
    static UnitFiles read(HadoopFiles units, Unit unit) {
        String text = units.text(marker(unit));
        if (text == null) return null;
        try {
            JsonNode json = JsonMapper.shared().readTree(text);
            if (!json.path("format").asString("").equals(FORMAT) || !CheckedJson.isWhole(json))
                throw damaged(units, unit, null);
            List<HadoopFiles.Entry> files = new ArrayList<>();
            for (JsonNode file : json.path("files"))
                files.add(new HadoopFiles.Entry(
                        file.required(0).stringValue(),
                        file.required(1).longValue(),
                        HexFormat.fromHexDigits(file.required(2).stringValue())));
            String attempt = json.required("attempt").stringValue();
            if (!isName(attempt) || !files.stream().allMatch(file -> isName(file.name())))
                throw damaged(units, unit, null);
            return new UnitFiles(unit, attempt, List.copyOf(files));
        } catch (JacksonException | IllegalArgumentException e) {
            throw damaged(units, unit, e);
        }
    }

    /** {@return whether a name is none of a place elsewhere} */
    private static boolean isName(String name) {
        return name.matches("\\w[\\w.-]*");
    }

    private static InputException damaged(HadoopFiles units, Unit unit, Exception cause) {
        return new InputException(
                units + "/" + marker(unit) + " is damaged: delete it and submit the job again, which collects its rows"
                        + " once more.",
                cause);
    }

    /**
     * Checks that every file is there with its size, without reading it.
     *
     * @return false if the whole folder is gone: its rows are to be collected once more
     * @throws InputException if a file is missing or has another size
     */
    boolean isThere(HadoopFiles units) {
        HadoopFiles folder = units.within(unit + "/" + attempt);
        List<FileStatus> there = folder.list();
        if (there.isEmpty()) return false;
        for (HadoopFiles.Entry file : files) {
            long size = there.stream()
                    .filter(status -> status.getPath().getName().equals(file.name()))
                    .mapToLong(FileStatus::getLen)
                    .findFirst()
                    .orElse(-1);
            if (size == file.size()) continue;
            throw new InputException(folder + "/" + file.name()
                    + (size < 0 ? " is missing" : " is damaged: it has " + size + " bytes instead of " + file.size())
                    + ". Put a copy of it back, or delete " + units + "/" + marker(unit)
                    + " and submit the job again, which collects its rows once more.");
        }
        return true;
    }
}
