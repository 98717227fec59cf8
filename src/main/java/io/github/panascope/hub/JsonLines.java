package io.github.panascope.hub;

import com.github.luben.zstd.ZstdInputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.zip.GZIPInputStream;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** JSON Lines, a document a line: plain, gzip or zstd by the file's name. */
final class JsonLines {
    /** A few compressed bytes can unpack to a line without end. */
    private static final int MAX_LINE = 256 << 20;

    /** NaN and Infinity are read, as Python writes them. Of a key that is there twice the last counts, as for Python: a line is data, and checking costs time. */
    private static final JsonMapper JSON = JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

    private JsonLines() {}

    /** What to do with one line; false to stop. */
    private interface Line {
        boolean take(int number, JsonNode node);
    }

    /** Hands over a field of each line, null where it is null. A line that is nothing but a text is that text. */
    static void texts(Path file, String field, Consumer<String> documents) throws IOException {
        each(file, (number, node) -> {
            JsonNode text = node.isString() ? node : node.get(field);
            if (text == null || !(text.isString() || text.isNull())) throw new InputException(file + ", line " + number + ": no field '" + field + "' that holds text.");
            if (text.isString() && !StandardCharsets.UTF_8.newEncoder().canEncode(text.stringValue())) {
                throw new InputException(file + ", line " + number + ": field '" + field + "' holds half of a surrogate pair, which is no character.");
            }
            documents.accept(text.isNull() ? null : text.stringValue());
            return true;
        });
    }

    /** Hands over the first of these fields of each line that is there. */
    static void tokens(Path file, List<String> fields, Consumer<int[]> documents) throws IOException {
        each(file, (number, node) -> {
            JsonNode list = tokens(node, fields);
            if (list == null) throw new InputException(file + ", line " + number + ": no field '" + String.join("' or '", fields) + "' that holds a list.");
            int[] ids = new int[list.size()];
            for (int i = 0; i < ids.length; i++) {
                JsonNode id = list.get(i);
                if (!id.isIntegralNumber() || !id.canConvertToInt()) throw new InputException(file + ", line " + number + ": " + (id.isNumber() ? id.asString() : id) + " is no token id.");
                ids[i] = id.intValue();
            }
            documents.accept(ids);
            return true;
        });
    }

    /** Whether the first line has one of these fields, as a list, and not the text. */
    static boolean firstIsTokenized(Path file, List<String> fields, String textField) throws IOException {
        boolean[] tokenized = {false};
        each(file, (number, node) -> {
            tokenized[0] = tokens(node, fields) != null && (textField == null || !node.has(textField));
            return false;
        });
        return tokenized[0];
    }

    private static JsonNode tokens(JsonNode node, List<String> fields) {
        return fields.stream().map(node::get).filter(found -> found != null && found.isArray()).findFirst().orElse(null);
    }

    private static void each(Path file, Line lines) throws IOException {
        int number = 0;
        try (BufferedReader in = new BufferedReader(reader(file))) {
            for (String line; (line = line(file, number + 1, in)) != null;) {
                if (number++ == 0 && line.startsWith("\ufeff")) line = line.substring(1); // a byte order mark
                if (line.isBlank()) continue;
                JsonNode node;
                try {
                    node = JSON.readTree(line);
                } catch (JacksonException | StackOverflowError e) {
                    throw new InputException(file + ", line " + number + ": not JSON (" + (e instanceof JacksonException json ? JsonError.of(json) : "nested too deeply") + ").", e);
                }
                if (node.isArray() && number == 1) throw new InputException(file + " is a JSON array; JSON Lines is expected, an object a line.");
                if (!lines.take(number, node)) return;
            }
        }
    }

    /** In strict UTF-8. */
    private static Reader reader(Path file) throws IOException {
        String name = file.toString().toLowerCase(Locale.ROOT);
        InputStream in = Files.newInputStream(file);
        try {
            InputStream unpacked = name.endsWith(".gz") ? new GZIPInputStream(in, 1 << 16) : name.endsWith(".zst") ? new ZstdInputStream(in).setContinuous(false) : in;
            return new InputStreamReader(unpacked, StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT).onUnmappableCharacter(CodingErrorAction.REPORT));
        } catch (IOException | RuntimeException e) {
            in.close();
            throw e;
        }
    }

    /** The next line without its end, or null. */
    private static String line(Path file, int number, BufferedReader in) throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            int c = in.read();
            if (c < 0) return line.isEmpty() ? null : line.toString();
            if (c == '\n') return line.toString();
            line.append((char) c);
            if (line.length() > MAX_LINE) throw new InputException(file + ", line " + number + ": longer than " + MAX_LINE + " characters.");
        }
    }
}
