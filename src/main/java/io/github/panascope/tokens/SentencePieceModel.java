package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/**
 * A {@code tokenizer.model} of SentencePiece, which is a protocol buffer, converted to the tokenizer that Transformers
 * makes of it for Llama and Gemma. Only byte pair encodings are supported.
 */
final class SentencePieceModel {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    private static final int BYTE_PAIRS = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;

    /** A token. */
    private record Piece(String text, float score, int type) {}

    /** Two tokens that make one, with its score. */
    private record Merge(String left, String right, float score) {}

    private final String place;
    private final List<Piece> pieces = new ArrayList<>();
    private String unknown = "<unk>";
    private int modelType = 1;
    private boolean changesCharacters;
    /** Which of the descriptions of the training and the normalizer, 2 and 3, were read. */
    private final Set<Integer> described = new HashSet<>();

    private SentencePieceModel(String place) {
        this.place = place;
    }

    /** Reads a model as Transformers converts it, given the settings beside it. */
    static Tokenizer read(Path file, TokenizerSettings settings) {
        SentencePieceModel model = new SentencePieceModel(file.toString());
        try {
            model.read(ByteBuffer.wrap(Files.readAllBytes(file)), 0);
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + e.getMessage() + ".", e);
        } catch (RuntimeException e) {
            throw new InputException(file + " is no SentencePiece model, or it is cut short.", e);
        }
        if (model.described.size() < 2)
            throw new InputException(file + " is no SentencePiece model, or it is cut short.");
        if (model.modelType != BYTE_PAIRS)
            throw new InputException(file + ": the model is not a byte pair encoding (its model_type is "
                    + model.modelType + "), the supported kind: put a tokenizer.json beside it.");
        if (model.changesCharacters)
            throw new InputException(
                    file + ": the model's normalizer changes characters (precompiled_charsmap), which is"
                            + " not supported: put a tokenizer.json beside it.");
        ObjectNode json = switch (settings.kind()) {
            case "Llama", "CodeLlama", "" -> model.llama(settings.isLegacy());
            case "Gemma" -> model.gemma(settings);
            default ->
                throw new InputException(file + ": Transformers converts a model of the tokenizer_class '"
                        + settings.kind() + "' in a way that is not supported: put a tokenizer.json beside it.");
        };
        return settings.apply(TokenizerJson.of(ConfigFile.of(file.toString(), json)));
    }

    /**
     * Reads the fields of a message.
     *
     * @param message 0 for the whole model, 2 for the description of the training, 3 for the normalizer
     */
    private void read(ByteBuffer bytes, int message) {
        bytes.order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            long tag = number(bytes);
            int field = (int) (tag >>> 3);
            switch ((int) (tag & 7)) {
                case 0 -> {
                    long value = number(bytes);
                    if (message == 2 && field == 3) modelType = (int) value;
                }
                case 1 -> bytes.getLong();
                case 2 -> {
                    ByteBuffer part = part(bytes);
                    if (message == 0 && field == 1) pieces.add(piece(part));
                    else if (message == 0 && (field == 2 || field == 3)) {
                        read(part, field);
                        described.add(field);
                    } else if (message == 2 && field == 45) unknown = text(part);
                    else if (message == 3 && field == 2) changesCharacters = part.hasRemaining();
                }
                case 5 -> bytes.getInt();
                default -> throw new IllegalArgumentException("unknown wire type");
            }
        }
    }

    private static Piece piece(ByteBuffer bytes) {
        bytes.order(ByteOrder.LITTLE_ENDIAN);
        String text = "";
        float score = 0;
        int type = 1;
        while (bytes.hasRemaining()) {
            long tag = number(bytes);
            switch ((int) (tag & 7)) {
                case 0 -> type = (int) number(bytes);
                case 2 -> text = text(part(bytes));
                case 5 -> score = bytes.getFloat();
                default -> throw new IllegalArgumentException("unknown wire type");
            }
        }
        return new Piece(text, score, type);
    }

    private static long number(ByteBuffer bytes) {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = bytes.get();
            value |= (long) (next & 0x7f) << shift;
            if (next >= 0) return value;
        }
    }

    private static ByteBuffer part(ByteBuffer bytes) {
        int length = Math.toIntExact(number(bytes));
        ByteBuffer part = bytes.slice(bytes.position(), length);
        bytes.position(bytes.position() + length);
        return part;
    }

    private static String text(ByteBuffer bytes) {
        return StandardCharsets.UTF_8.decode(bytes).toString();
    }

    // ----------------------------------------------------------------------------------------------------------------

    private ObjectNode llama(boolean legacy) {
        ObjectNode json = tokenizer(pieces, ids(), Set.of());
        ArrayNode decoders = decoders(json);
        decoders.add(type("Strip").put("content", " ").put("start", 1).put("stop", 0));
        if (legacy) {
            ObjectNode sequence = type("Sequence");
            sequence.putArray("normalizers")
                    .add(type("Prepend").put("prepend", "▁"))
                    .add(replace(" ", "▁"));
            json.set("normalizer", sequence);
        } else
            json.set(
                    "pre_tokenizer",
                    type("Metaspace")
                            .put("replacement", "▁")
                            .put("prepend_scheme", "first")
                            .put("split", false));
        return json;
    }

    private ObjectNode gemma(TokenizerSettings settings) {
        List<Piece> renamed = new ArrayList<>(pieces);
        List<String> names = settings.padEosBos();
        if (pieces.size() < names.size())
            throw new InputException(place + ": a model of Gemma begins with the tokens " + String.join(", ", names)
                    + ", and this one has " + pieces.size() + " tokens.");
        for (int i = 0; i < names.size(); i++) renamed.set(i, new Piece(names.get(i), 0, pieces.get(i).type));
        Map<String, Integer> ids = ids();
        if (!ids.containsKey("\t") && ids.containsKey("<0x09>")) {
            int tab = ids.get("<0x09>");
            ids.put("\t", tab); // older models lack the tab, which Transformers puts in the place of its byte
            renamed.set(tab, new Piece("\t", 0, renamed.get(tab).type));
        }
        ObjectNode json = tokenizer(renamed, ids, Set.of("<start_of_turn>", "<end_of_turn>"));
        decoders(json);
        json.set("normalizer", replace(" ", "▁"));
        ObjectNode split = type("Split").put("behavior", "MergedWithPrevious").put("invert", false);
        split.putObject("pattern").put("String", " ");
        json.set("pre_tokenizer", split);
        return json;
    }

    private Map<String, Integer> ids() {
        Map<String, Integer> ids = new HashMap<>();
        for (int id = 0; id < pieces.size(); id++) ids.put(pieces.get(id).text, id);
        return ids;
    }

    /** @param special user-defined tokens that are special all the same */
    private ObjectNode tokenizer(List<Piece> named, Map<String, Integer> ids, Set<String> special) {
        ObjectNode model =
                type("BPE").put("unk_token", unknown).put("fuse_unk", true).put("byte_fallback", true);
        ObjectNode vocabulary = model.putObject("vocab");
        for (int id = 0; id < named.size(); id++) vocabulary.put(named.get(id).text, id);
        ArrayNode merges = model.putArray("merges");
        for (Merge merge : merges(named, ids)) merges.addArray().add(merge.left).add(merge.right);
        ObjectNode json = JSON.objectNode();
        ArrayNode added = json.putArray("added_tokens");
        for (int id = 0; id < pieces.size(); id++) {
            Piece piece = pieces.get(id);
            if (piece.type != CONTROL && piece.type != USER_DEFINED) continue;
            JsonNode known = vocabulary.get(piece.text);
            added.addObject()
                    .put("content", piece.text)
                    .put("normalized", false)
                    .put("special", piece.type == CONTROL || special.contains(piece.text))
                    .put("id", known == null ? id : known.intValue());
        }
        json.set("model", model);
        return json;
    }

    /** Returns the pairs of tokens that make a token, the best score first, and of equal ones the longest parts. */
    private static List<Merge> merges(List<Piece> named, Map<String, Integer> ids) {
        Map<String, Float> scores = new LinkedHashMap<>();
        for (Piece piece : named) scores.put(piece.text, piece.score);
        List<Merge> merges = new ArrayList<>();
        scores.forEach((text, score) -> {
            List<Merge> own = new ArrayList<>();
            for (int i = text.offsetByCodePoints(0, Math.min(1, text.length()));
                    i < text.length();
                    i = text.offsetByCodePoints(i, 1)) {
                Merge merge = new Merge(text.substring(0, i), text.substring(i), score);
                if (ids.containsKey(merge.left) && ids.containsKey(merge.right)) own.add(merge);
            }
            own.sort(Comparator.<Merge>comparingInt(merge -> ids.get(merge.left))
                    .thenComparingInt(merge -> ids.get(merge.right)));
            merges.addAll(own);
        });
        merges.sort(Comparator.comparingDouble((Merge merge) -> -merge.score)
                .thenComparingInt(merge -> -merge.left.codePointCount(0, merge.left.length()))
                .thenComparingInt(merge -> -merge.right.codePointCount(0, merge.right.length())));
        return merges;
    }

    private static ArrayNode decoders(ObjectNode json) {
        ObjectNode sequence = type("Sequence");
        json.set("decoder", sequence);
        return sequence.putArray("decoders")
                .add(replace("▁", " "))
                .add(type("ByteFallback"))
                .add(type("Fuse"));
    }

    private static ObjectNode type(String name) {
        return JSON.objectNode().put("type", name);
    }

    private static ObjectNode replace(String wanted, String content) {
        ObjectNode replace = type("Replace").put("content", content);
        replace.putObject("pattern").put("String", wanted);
        return replace;
    }
}
