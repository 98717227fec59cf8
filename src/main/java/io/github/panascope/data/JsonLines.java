package io.github.panascope.data;

import com.github.luben.zstd.ZstdInputStream;
import io.github.panascope.InputException;
import io.github.panascope.internal.JsonError;
import java.io.BufferedReader;
import java.io.FilterReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A reader of JSON Lines, with one document per line, or of one JSON array of documents. The name of the file
 * determines whether it is plain, gzip or zstd.
 */
final class JsonLines {
    /** The longest line or array element, in characters; a few compressed bytes can decompress to an endless line. */
    private static final int MAX_LINE = 256 << 20;

    /** The largest number of blank characters before the first one, which distinguishes an array from lines. */
    private static final int LOOK_AHEAD = 1 << 16;

    /**
     * Accepts NaN and Infinity, which Python writes. Of duplicate keys the last counts, as in Python: a line is data,
     * and a check costs time.
     */
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();

    private JsonLines() {}

    /** A callback for one document. */
    private interface Taker {
        /**
         * Processes a document and returns whether to continue.
         *
         * @param place the file, and the line or element, for error messages
         * @param node  the document; an object has only those of its fields that were asked for
         */
        boolean take(String place, JsonNode node);
    }

    /**
     * Passes one field of each document to the consumer; null where the field is null. A document that is only a string
     * is passed as it is.
     */
    static void texts(Path file, String field, Consumer<String> documents) throws IOException {
        each(file, Set.of(field), (place, node) -> {
            JsonNode text = node.isString() ? node : node.get(field);
            if (text == null || !(text.isString() || text.isNull()))
                throw new InputException(place + ": no field '" + field + "' that holds text.");
            if (text.isString() && !StandardCharsets.UTF_8.newEncoder().canEncode(text.stringValue())) {
                throw new InputException(
                        place + ": field '" + field + "' holds half of a surrogate pair, which is no character.");
            }
            documents.accept(text.isNull() ? null : text.stringValue());
            return true;
        });
    }

    /** Passes the first of the given fields that each document has to the consumer. */
    static void tokens(Path file, List<String> fields, Consumer<int[]> documents) throws IOException {
        each(file, Set.copyOf(fields), (place, node) -> {
            JsonNode list = tokens(node, fields);
            if (list == null)
                throw new InputException(
                        place + ": no field '" + String.join("' or '", fields) + "' that holds a list.");
            int[] ids = new int[list.size()];
            for (int i = 0; i < ids.length; i++) {
                JsonNode id = list.get(i);
                if (!id.isIntegralNumber() || !id.canConvertToInt())
                    throw new InputException(place + ": " + (id.isNumber() ? id.asString() : id) + " is no token id.");
                ids[i] = id.intValue();
            }
            documents.accept(ids);
            return true;
        });
    }

    /**
     * Returns whether the first document has one of the given fields as a list and does not have the text field; empty
     * if there is no document.
     */
    static Optional<Boolean> firstIsTokenized(Path file, List<String> fields, String textField) throws IOException {
        List<Boolean> tokenized = new ArrayList<>(1);
        Set<String> wanted = new HashSet<>(fields);
        if (textField != null) wanted.add(textField);
        each(file, wanted, (place, node) -> {
            tokenized.add(tokens(node, fields) != null && (textField == null || !node.has(textField)));
            return false;
        });
        return tokenized.stream().findFirst();
    }

    private static JsonNode tokens(JsonNode node, List<String> fields) {
        return fields.stream()
                .map(node::get)
                .filter(found -> found != null && found.isArray())
                .findFirst()
                .orElse(null);
    }

    private static void each(Path file, Set<String> fields, Taker documents) throws IOException {
        try (BufferedReader in = new BufferedReader(reader(file))) {
            in.mark(1);
            if (in.read() != '\ufeff') in.reset(); // skips a byte order mark
            if (firstCharacter(in) == '[') eachElement(file, in, fields, documents);
            else eachLine(file, in, fields, documents);
        }
    }

    /**
     * Returns the first character that is not blank, without consuming it or those before it; -1 if there is none
     * within {@link #LOOK_AHEAD}.
     */
    private static int firstCharacter(BufferedReader in) throws IOException {
        in.mark(LOOK_AHEAD);
        int first = -1;
        for (int i = 0; i < LOOK_AHEAD && Character.isWhitespace(first = in.read()); i++) first = -1;
        in.reset();
        return first;
    }

    /** A reader that limits the length of an array element. The parser reads a buffer ahead. */
    private static final class Bounded extends FilterReader {
        private final String place;
        private long left = MAX_LINE;

        Bounded(Reader in, String place) {
            super(in);
            this.place = place;
        }

        @Override
        public int read(char[] buffer, int offset, int length) throws IOException {
            int read = super.read(buffer, offset, length);
            left -= read;
            if (left < 0) throw new InputException(place + ": an element is longer than " + MAX_LINE + " characters.");
            return read;
        }
    }

    private static void eachElement(Path file, Reader in, Set<String> fields, Taker documents) throws IOException {
        int number = 0;
        Bounded bounded = new Bounded(in, file.toString());
        try (JsonParser parser = JSON.createParser(bounded)) {
            parser.nextToken();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                number++;
                bounded.left = MAX_LINE;
                String place = file + ", element " + number;
                JsonNode node;
                try {
                    node = document(parser, fields);
                } catch (StackOverflowError e) {
                    throw notJson(place, e);
                }
                if (!documents.take(place, node)) return;
            }
            if (parser.nextToken() != null) throw new InputException(file + " holds more than one JSON array.");
        } catch (JacksonIOException e) {
            throw e.getCause(); // the file is truncated or not text; the JSON is not at fault
        } catch (JacksonException e) {
            throw notJson(file + ", element " + Math.max(number, 1), e);
        }
    }

    private static void eachLine(Path file, Reader in, Set<String> fields, Taker documents) throws IOException {
        int number = 0;
        for (String line; (line = line(file, number + 1, in)) != null; ) {
            number++;
            if (line.isBlank()) continue;
            JsonNode node;
            try (JsonParser parser = JSON.createParser(line)) {
                parser.nextToken();
                node = document(parser, fields);
                if (parser.nextToken() != null)
                    throw new InputException(file + ", line " + number + " holds more than one JSON value.");
            } catch (JacksonException | StackOverflowError e) {
                throw notJson(file + ", line " + number, e);
            }
            if (!documents.take(file + ", line " + number, node)) return;
        }
    }

    /**
     * Reads the value at the parser's position; of an object only the given fields, as the others may be much larger.
     */
    private static JsonNode document(JsonParser parser, Set<String> fields) {
        if (!parser.isExpectedStartObjectToken()) return parser.readValueAsTree();
        ObjectNode document = JSON.createObjectNode();
        for (String name; (name = parser.nextName()) != null; ) {
            parser.nextToken();
            if (fields.contains(name)) document.set(name, parser.<JsonNode>readValueAsTree());
            else parser.skipChildren();
        }
        return document;
    }

    private static InputException notJson(String place, Throwable e) {
        return new InputException(
                place + ": not JSON (" + (e instanceof JacksonException json ? JsonError.of(json) : "nested too deeply")
                        + ").",
                e);
    }

    private static InputStream zstd(InputStream in) throws IOException {
        NativeCodecs.load();
        return new ZstdInputStream(in).setContinuous(false);
    }

    /** Opens a file as text in strict UTF-8. */
    private static Reader reader(Path file) throws IOException {
        String name = file.toString().toLowerCase(Locale.ROOT);
        InputStream in = Files.newInputStream(file);
        try {
            InputStream unpacked =
                    name.endsWith(".gz") ? new GzipMembers(in, 1 << 16) : name.endsWith(".zst") ? zstd(in) : in;
            return new InputStreamReader(
                    unpacked,
                    StandardCharsets.UTF_8
                            .newDecoder()
                            .onMalformedInput(CodingErrorAction.REPORT)
                            .onUnmappableCharacter(CodingErrorAction.REPORT));
        } catch (IOException | RuntimeException | Error e) {
            in.close();
            Optional<InputException> denied = NativeAccess.refused(file, e);
            if (denied.isPresent()) throw denied.get();
            throw e;
        }
    }

    /** Reads the next line, without its end; returns null at the end of the file. */
    private static String line(Path file, int number, Reader in) throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            int c = in.read();
            if (c < 0) return line.isEmpty() ? null : line.toString();
            if (c == '\n') return line.toString();
            line.append((char) c);
            if (line.length() > MAX_LINE)
                throw new InputException(file + ", line " + number + ": longer than " + MAX_LINE + " characters.");
        }
    }
}
