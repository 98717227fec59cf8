package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Makes a text of tokens. */
interface TokenDecoder {
    /** A byte that is part of no character stands in a text as this plus the byte, which no other text holds. */
    int ESCAPE = 0xdc00;

    /**
     * Changes tokens, step by step, until they are a text together.
     *
     * @param escapes true to keep bytes that form no character, as {@link #ESCAPE}, instead of U+FFFD
     */
    List<String> decode(List<String> tokens, boolean escapes);

    /**
     * Reads a {@code decoder}.
     *
     * @param place the place for error messages
     * @throws InputException if a step or one of its settings is not supported
     */
    static TokenDecoder read(String place, @Nullable JsonNode json) {
        if (json == null || json.isNull()) return (tokens, _) -> List.of(String.join(" ", tokens));
        ConfigFile step = ConfigFile.of(place, json);
        String type = step.text("type");
        switch (type) {
            case "Sequence" -> {
                StepSettings.requireKeys(step, "type", "decoders");
                List<TokenDecoder> steps = new ArrayList<>();
                for (JsonNode part : StepSettings.list(step, "decoders")) steps.add(read(place + ": decoders", part));
                return (tokens, escapes) -> {
                    List<String> now = tokens;
                    for (TokenDecoder each : steps) now = each.decode(now, escapes);
                    return now;
                };
            }
            case "ByteLevel" -> {
                StepSettings.requireKeys(step, "type", "add_prefix_space", "trim_offsets", "use_regex");
                return TokenDecoder::byteLevel;
            }
            case "Replace" -> {
                return replace(step);
            }
            case "ByteFallback" -> {
                StepSettings.requireKeys(step, "type");
                return TokenDecoder::byteFallback;
            }
            case "Fuse" -> {
                StepSettings.requireKeys(step, "type");
                return (tokens, _) -> List.of(String.join("", tokens));
            }
            case "Strip" -> {
                StepSettings.requireKeys(step, "type", "content", "start", "stop");
                int[] content = step.text("content").codePoints().toArray();
                if (content.length != 1) throw step.wrong("content", "one character");
                int start = step.count("start");
                int stop = step.count("stop");
                return (tokens, _) -> tokens.stream()
                        .map(token -> stripped(token, content[0], start, stop))
                        .toList();
            }
            case "Metaspace" -> {
                MetaspaceStep metaspace = MetaspaceStep.read(step);
                return (tokens, _) -> metaspace(tokens, metaspace);
            }
            default ->
                throw step.wrong(
                        "type",
                        "'ByteLevel', 'Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace' or 'Sequence', the"
                                + " supported ones");
        }
    }

    private static TokenDecoder replace(ConfigFile step) {
        StepSettings.requireKeys(step, "type", "pattern", "content");
        ConfigFile object =
                step.object("pattern").orElseThrow(() -> step.wrong("pattern", "an object with 'Regex' or 'String'"));
        Pattern pattern = StepSettings.pattern(step, object);
        String content = step.text("content");
        String literal = object.text("String", "");
        return (tokens, _) -> {
            List<String> replaced = new ArrayList<>(tokens.size());
            for (String token : tokens) {
                if (!literal.isEmpty()) {
                    replaced.add(token.replace(literal, content));
                    continue;
                }
                StringBuilder made = new StringBuilder();
                int[] done = {0};
                if (!token.isEmpty())
                    OnigurumaPattern.find(step.place(), pattern, token, (from, to) -> {
                        made.append(token, done[0], from).append(content);
                        done[0] = to;
                    });
                replaced.add(made.append(token, done[0], token.length()).toString());
            }
            return replaced;
        };
    }

    private static List<String> byteLevel(List<String> tokens, boolean escapes) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (String token : tokens) {
            byte[] own = new byte[token.length()];
            boolean letters = true;
            for (int i = 0; i < own.length && letters; i++) {
                int value = ByteLetters.value(token.charAt(i));
                letters = value >= 0;
                own[i] = (byte) value;
            }
            bytes.writeBytes(letters ? own : token.getBytes(StandardCharsets.UTF_8));
        }
        return List.of(text(bytes.toByteArray(), escapes));
    }

    private static List<String> byteFallback(List<String> tokens, boolean escapes) {
        List<String> decoded = new ArrayList<>(tokens.size());
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (String token : tokens) {
            if (token.matches("<0x[0-9A-Fa-f+][0-9A-Fa-f]>")) {
                bytes.write(Integer.parseInt(token.substring(3, 5), 16));
                continue;
            }
            addBytes(bytes, decoded, escapes);
            decoded.add(token);
        }
        addBytes(bytes, decoded, escapes);
        return decoded;
    }

    /** Adds the text of bytes; unless all of them form characters, each one becomes U+FFFD. */
    private static void addBytes(ByteArrayOutputStream bytes, List<String> decoded, boolean escapes) {
        if (bytes.size() == 0) return;
        try {
            decoded.add(StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes.toByteArray()))
                    .toString());
        } catch (CharacterCodingException e) {
            if (escapes) decoded.add(text(bytes.toByteArray(), true));
            else for (int i = 0; i < bytes.size(); i++) decoded.add("\ufffd");
        }
        bytes.reset();
    }

    /**
     * Returns the text of bytes. The longest beginning of a character that is not whole becomes one U+FFFD, or an
     * escape for each of its bytes.
     */
    private static String text(byte[] bytes, boolean escapes) {
        StringBuilder text = new StringBuilder(bytes.length);
        for (int at = 0; at < bytes.length; ) {
            int first = bytes[at] & 0xff;
            int length =
                    first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
            int good = 1;
            while (good < length && at + good < bytes.length && follows(first, good, bytes[at + good] & 0xff)) good++;
            if (good == length) text.append(new String(bytes, at, length, StandardCharsets.UTF_8));
            else if (!escapes) text.append('\ufffd');
            else for (int i = 0; i < good; i++) text.append((char) (ESCAPE + (bytes[at + i] & 0xff)));
            at += good;
        }
        return text.toString();
    }

    /** Returns whether a byte can follow in a character, neither written too long, nor a surrogate, nor too large. */
    private static boolean follows(int first, int index, int value) {
        int least = index > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        int most = index > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        return value >= least && value <= most;
    }

    /** Returns the bytes of a text with escapes. */
    static byte[] bytes(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(text.length());
        byte[] one = new byte[4];
        for (int at = 0, codePoint; at < text.length(); at += Character.charCount(codePoint)) {
            codePoint = text.codePointAt(at);
            if (codePoint >= ESCAPE && codePoint <= ESCAPE + 0xff) bytes.write(codePoint - ESCAPE);
            else bytes.write(one, 0, ByteLetters.writeUtf8(codePoint, one, 0));
        }
        return bytes.toByteArray();
    }

    private static String stripped(String token, int content, int start, int stop) {
        int[] characters = token.codePoints().toArray();
        int from = 0;
        while (from < Math.min(start, characters.length) && characters[from] == content) from++;
        int to = characters.length;
        while (to > from && characters.length - to < stop && characters[to - 1] == content) to--;
        return new String(characters, from, to - from);
    }

    private static List<String> metaspace(List<String> tokens, MetaspaceStep step) {
        List<String> decoded = new ArrayList<>(tokens.size());
        for (String token : tokens) {
            boolean first = decoded.isEmpty() && step.scheme() != MetaspaceStep.Scheme.NEVER;
            decoded.add(token.replace(step.sign(), first ? "" : " "));
        }
        return decoded;
    }
}
