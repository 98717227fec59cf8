package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The manifest of a {@link FeatureStore}.
 *
 * @param id       the number in the names of the folder's files, 16 hexadecimal digits
 * @param identity the identity of the rows
 * @param rows     the ranges of rows, ascending, without overlaps
 * @param sums     the CRC-32C of the file of sums; null if there are no rows
 */
record StoreManifest(String id, StoreIdentity identity, List<Rows> rows, Integer sums) {
    private static final String FORMAT_NAME = "panascope features ";
    private static final String FORMAT = FORMAT_NAME + 2;
    private static final int ID_BYTES = 8;

    /**
     * The rows of one file.
     *
     * @param first    the first row
     * @param end      the row after the last
     * @param checksum the CRC-32C of the file
     */
    record Rows(long first, long end, int checksum) {
        long count() {
            return end - first;
        }
    }

    long count() {
        return rows.stream().mapToLong(Rows::count).sum();
    }

    String shard(Rows range) {
        return String.format("rows-%08d-%08d-%s.bin", range.first, range.end, id);
    }

    /**
     * {@return the name of the file of sums, which depends on the rows, so that the previous manifest still finds its
     * file}
     */
    String sumsFile() {
        return "sums-" + count() + "-" + rows.size() + "-" + id + ".bin";
    }

    StoreManifest with(List<Rows> more, Integer sumsOfMore) {
        return new StoreManifest(
                id,
                identity,
                more.stream().sorted(Comparator.comparingLong(Rows::first)).toList(),
                sumsOfMore);
    }

    static StoreManifest empty(StoreIdentity identity) {
        byte[] id = new byte[ID_BYTES];
        new SecureRandom().nextBytes(id);
        return new StoreManifest(HexFormat.of().formatHex(id), identity, List.of(), null);
    }

    String toJson() {
        ObjectNode json =
                JsonMapper.shared().createObjectNode().put("format", FORMAT).put("id", id);
        ObjectNode entries = json.putObject("identity");
        identity.entries().forEach(entries::put);
        ArrayNode ranges = json.putArray("rows");
        for (Rows range : rows)
            ranges.addArray().add(range.first).add(range.end).add(hex(range.checksum));
        json.put("sums", sums == null ? null : hex(sums));
        json.put("checksum", checksum(json));
        return json.toPrettyString() + "\n";
    }

    /** {@return the checksum of a manifest without its own entry} */
    private static String checksum(ObjectNode json) {
        CRC32C crc = new CRC32C();
        crc.update(json.deepCopy().without("checksum").toString().getBytes(StandardCharsets.UTF_8));
        return hex((int) crc.getValue());
    }

    private static String hex(int checksum) {
        return HexFormat.of().toHexDigits(checksum);
    }

    /**
     * Reads a manifest.
     *
     * @throws InputException if it is of another version, or damaged
     */
    static StoreManifest read(Path file) throws IOException {
        JsonNode json;
        try {
            json = JsonMapper.shared().readTree(Files.readString(file));
        } catch (JacksonException | CharacterCodingException e) {
            throw damaged(file, "it is no JSON", e);
        }
        String format = json.path("format").asString("");
        if (!format.equals(FORMAT) && format.startsWith(FORMAT_NAME)) {
            throw new InputException(file + " is of another version of panascope, '" + format + "' where this one has '"
                    + FORMAT + "': collect into another folder, or delete this one.");
        }
        if (!(json instanceof ObjectNode object)) throw damaged(file, "it holds no JSON object", null);
        if (!format.equals(FORMAT))
            throw new InputException(file + ": 'format' should be '" + FORMAT + "', not "
                    + (json.has("format") ? json.path("format") : "missing") + ".");
        if (!json.path("checksum").asString("").equals(checksum(object)))
            throw damaged(file, "its checksum does not fit", null);
        // The checksum fits, but the manifest may have been written by hand, so every field is checked.
        String id = text(file, json.path("id"), "[0-9a-f]{16}");
        Map<String, String> entries = new LinkedHashMap<>();
        if (!json.path("identity").isObject()) throw damaged(file, "it has no identity", null);
        json.path("identity").forEachEntry((key, value) -> entries.put(key, text(file, value, "(?s).*")));
        List<Rows> rows = new ArrayList<>();
        if (!json.path("rows").isArray()) throw damaged(file, "it has no rows", null);
        for (JsonNode each : json.path("rows")) rows.add(range(file, each, rows.isEmpty() ? 0 : rows.getLast().end));
        if (json.path("sums").isNull() != rows.isEmpty())
            throw damaged(file, "its rows and its sums do not belong together", null);
        return new StoreManifest(
                id,
                new StoreIdentity(entries),
                List.copyOf(rows),
                rows.isEmpty() ? null : HexFormat.fromHexDigits(text(file, json.path("sums"), "[0-9a-f]{8}")));
    }

    /**
     * Reads a range of rows.
     *
     * @param least the smallest allowed first row
     */
    private static Rows range(Path file, JsonNode json, long least) {
        JsonNode first = json.path(0);
        JsonNode end = json.path(1);
        boolean numbers = json.size() == 3
                && first.isIntegralNumber()
                && first.canConvertToLong()
                && end.isIntegralNumber()
                && end.canConvertToLong();
        if (!numbers
                || first.longValue() < least
                || end.longValue() <= first.longValue()
                || end.longValue() - first.longValue() > Integer.MAX_VALUE) {
            throw damaged(file, json + " is no range of rows that may stand there", null);
        }
        return new Rows(
                first.longValue(), end.longValue(), HexFormat.fromHexDigits(text(file, json.path(2), "[0-9a-f]{8}")));
    }

    private static String text(Path file, JsonNode value, String form) {
        if (!value.isString() || !value.stringValue().matches(form))
            throw damaged(file, value + " is not what may stand there", null);
        return value.stringValue();
    }

    private static InputException damaged(Path file, String how, Throwable cause) {
        return new InputException(
                file + " is damaged: " + how + ". Put a copy of it back, or delete the folder and collect again.",
                cause);
    }
}
