package io.github.panascope.lens;

import io.github.panascope.hub.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;

/** Recognises GPT-2's own vocabulary, which most models of its family carry, so that it need not be built again from 50,000 merges. */
final class Gpt2Vocabulary {
    /** SHA-256 of merges.txt, which is the same file everywhere. */
    private static final String MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5";
    /** {@link #fingerprint} of vocab.json, whose text differs between versions of Transformers. */
    private static final long VOCABULARY = 0x68EB3BF73FCE9842L;
    private static final TokenStreamFactory JSON = JsonFactory.builder().disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES).build();

    private Gpt2Vocabulary() {}

    static boolean is(Path vocab, Path merges) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(merges))).equals(MERGES) && fingerprint(vocab) == VOCABULARY;
        } catch (IOException | JacksonException e) {
            return false; // whoever reads them whole says what is wrong
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** Of the pairs of tokens and ids in a JSON object, in whatever order; 0 if it holds anything else. */
    static long fingerprint(Path vocab) throws IOException {
        long sum = 0;
        try (JsonParser parser = JSON.createParser(tools.jackson.core.ObjectReadContext.empty(), Files.readAllBytes(vocab))) {
            if (parser.nextToken() != JsonToken.START_OBJECT) return 0;
            while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
                String token = parser.currentName();
                if (parser.nextToken() != JsonToken.VALUE_NUMBER_INT) return 0;
                long hash = parser.getIntValue();
                for (int i = 0; i < token.length(); i++) hash = (hash ^ token.charAt(i)) * 0x100000001B3L;
                hash = (hash ^ hash >>> 30) * 0xBF58476D1CE4E5B9L;
                sum += hash ^ hash >>> 31;
            }
        }
        return sum;
    }
}
