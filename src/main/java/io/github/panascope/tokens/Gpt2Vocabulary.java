package io.github.panascope.tokens;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Recognition of the files of GPT-2's own vocabulary, which most models of the family contain, so that the tokenizer
 * need not be built again from 50,000 merges.
 */
final class Gpt2Vocabulary {
    /** SHA-256 of merges.txt, of which there is only one version. */
    private static final String MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5";
    /**
     * SHA-256 of vocab.json, as OpenAI published it and the hub has it, and as Transformers writes it beside a model.
     */
    private static final Set<String> VOCABULARIES = Set.of(
            "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
            "3ba3c3109ff33976c4bd966589c11ee14fcaa1f4c9e5e154c2ed7f99d80709e7");

    /** SHA-256 of tokenizer.json by its length, as the hub has it, and as Transformers 5 writes it beside a model. */
    private static final Map<Long, String> TOKENIZERS = Map.of(
            1_355_256L,
            "8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6",
            3_557_956L,
            "b11d992d46b2bcec1b754e8993bb3a22f90d8f10d1c1e5133458591eb4ddc53a");

    private static final int BYTES = 256;
    private static final int SIZE = 50257;

    private Gpt2Vocabulary() {}

    /**
     * Returns whether a {@code tokenizer.json} is one of the known files of GPT-2. A file of equal meaning that is
     * written differently is not recognised.
     */
    static boolean is(Path tokenizer) {
        try {
            String known = Files.isRegularFile(tokenizer) ? TOKENIZERS.get(Files.size(tokenizer)) : null;
            return known != null && sha256(Files.readAllBytes(tokenizer)).equals(known);
        } catch (IOException e) {
            return false;
        }
    }

    /** Returns whether a vocabulary has as many tokens as GPT-2's. */
    static boolean hasSize(int tokens) {
        return tokens == SIZE;
    }

    /** Returns whether a vocabulary and merges are those of GPT-2. */
    static boolean is(Map<String, Integer> ids, List<String> merges) {
        if (ids.size() != SIZE || merges.size() != SIZE - BYTES - 1) return false;
        String file = String.join("\n", merges);
        if (!sha256(("#version: 0.2\n" + file + "\n").getBytes(StandardCharsets.UTF_8))
                .equals(MERGES)) return false;
        List<String> ordered = new ArrayList<>(ByteLetters.all());
        for (String merge : merges) ordered.add(merge.replace(" ", ""));
        ordered.add(Gpt2Tokenizer.END_OF_TEXT);
        for (int id = 0; id < SIZE; id++) if (!Integer.valueOf(id).equals(ids.get(ordered.get(id)))) return false;
        return true;
    }

    /**
     * Returns whether two files are those of GPT-2, byte for byte. For unreadable files it returns false; the code that
     * then reads them reports the error.
     */
    static boolean is(Path vocab, Path merges) {
        try {
            return sha256(Files.readAllBytes(merges)).equals(MERGES)
                    && VOCABULARIES.contains(sha256(Files.readAllBytes(vocab)));
        } catch (IOException e) {
            return false;
        }
    }

    private static String sha256(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
