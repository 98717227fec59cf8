package io.github.panascope.spark;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.zip.CRC32C;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** JSON objects with a checksum of their own, so that a file that was changed is recognized. */
final class CheckedJson {
    private static final String CHECKSUM = "checksum";

    private CheckedJson() {}

    /** {@return the text of an object, to which its checksum is added} */
    static String text(ObjectNode json) {
        return json.put(CHECKSUM, checksum(json)).toPrettyString() + "\n";
    }

    /** {@return whether this is an object that has the checksum that it names} */
    static boolean isWhole(JsonNode json) {
        return json instanceof ObjectNode object
                && object.path(CHECKSUM).asString("").equals(checksum(object));
    }

    private static String checksum(ObjectNode json) {
        CRC32C crc = new CRC32C();
        crc.update(json.deepCopy().without(CHECKSUM).toString().getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().toHexDigits((int) crc.getValue());
    }
}
