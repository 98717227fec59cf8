package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A tokenizer as Hugging Face's tokenizers describes it: added tokens are found, the rest is normalized and split, byte
 * pair encoding makes tokens of the pieces, and a post-processor adds tokens around them.
 */
final class PipelineTokenizer extends Tokenizer {
    private final TokenizerJson parts;
    private final AddedTokens added;
    private final PostProcessor processor;
    private final Roles roles;
    private final int size;
    private final Set<Integer> special;

    /**
     * What tokens are for, and what else settings say.
     *
     * @param bos          the token that begins texts; null if none is named
     * @param eos          the token that ends texts
     * @param pad          the token that fills rows up
     * @param chatTemplate the template of conversations
     */
    record Roles(
            @Nullable String bos,
            @Nullable String eos,
            @Nullable String pad,
            @Nullable String chatTemplate) {
        static final Roles NONE = new Roles(null, null, null, null);
    }

    /**
     * Creates a tokenizer.
     *
     * @param parts     the steps that texts go through
     * @param added     the added tokens, which are prepared
     * @param processor what follows
     * @param roles     what tokens are for
     */
    PipelineTokenizer(TokenizerJson parts, AddedTokens added, PostProcessor processor, Roles roles) {
        this.parts = parts;
        this.added = added;
        this.processor = processor;
        this.roles = roles;
        int ids = parts.tokens().length;
        Set<Integer> specials = new TreeSet<>();
        for (Map.Entry<Integer, AddedTokens.Added> each : added.byId().entrySet()) {
            ids = Math.max(ids, each.getKey() + 1);
            if (added.isSpecial(each.getValue().content())) specials.add(each.getKey());
        }
        this.size = ids;
        this.special = Collections.unmodifiableSet(specials);
    }

    TokenizerJson parts() {
        return parts;
    }

    AddedTokens added() {
        return added;
    }

    PostProcessor processor() {
        return processor;
    }

    @Override
    public Tokenizer withSettings(List<Path> settings) {
        return settings.isEmpty() ? this : TokenizerSettings.read(settings).apply(this);
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public int bos() {
        return roles.bos == null ? eos() : required("bos_token", roles.bos);
    }

    @Override
    public int eos() {
        return required("eos_token", roles.eos == null ? Gpt2Tokenizer.END_OF_TEXT : roles.eos);
    }

    @Override
    public int pad() {
        return roles.pad == null ? eos() : required("pad_token", roles.pad);
    }

    private int required(String role, String token) {
        return id(token)
                .orElseThrow(() -> new InputException(parts.place() + ": the tokenizer has no token '" + token
                        + "' for its " + role + ": name one in tokenizer_config.json."));
    }

    @Override
    public Set<Integer> specialIds() {
        return special;
    }

    @Override
    public boolean addsBos() {
        return processor.before().length > 0
                && (roles.bos != null || roles.eos != null)
                && processor.before()[0] == bos();
    }

    @Override
    public OptionalInt id(String token) {
        Integer id = added.ids().getOrDefault(token, parts.ids().get(token));
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    @Override
    public String token(int id) {
        String token = known(id);
        return token == null ? "[id " + id + "]" : token;
    }

    /**
     * Returns a token, or null for an id that no token has: models have more rows in their embedding than their
     * tokenizer has tokens, and may predict them.
     */
    private @Nullable String known(int id) {
        if (id < 0) throw new IllegalArgumentException("token id " + id + " is negative");
        AddedTokens.Added other = added.byId().get(id);
        if (other != null) return other.content();
        return id < parts.tokens().length ? parts.tokens()[id] : null;
    }

    @Override
    public Optional<String> chatTemplate() {
        return Optional.ofNullable(roles.chatTemplate);
    }

    @Override
    public String fingerprint() {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            update(digest, parts.description());
            for (int id = 0; id < size; id++) update(digest, String.valueOf(known(id)));
            for (long pair : parts.pairs())
                digest.update(ByteBuffer.allocate(Long.BYTES).putLong(pair).flip());
            new TreeSet<>(added.byId().keySet())
                    .forEach(id -> update(digest, id + " " + added.byId().get(id)));
            update(
                    digest,
                    Arrays.toString(processor.before()) + Arrays.toString(processor.after()) + roles.bos + " "
                            + roles.eos + " " + roles.pad);
            int first = id(roles.eos == null ? Gpt2Tokenizer.END_OF_TEXT : roles.eos)
                    .orElse(0);
            return first + " " + HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    private static void update(MessageDigest digest, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        digest.update(ByteBuffer.allocate(Integer.BYTES).putInt(bytes.length).flip());
        digest.update(bytes);
    }

    @Override
    public String toString() {
        return "Tokenizer of " + size + " tokens";
    }

    // ------------------------------------------------------------------------------------------------ texts and tokens

    @Override
    public int[] encode(String text) {
        Output output = new Output(text.length() / 3 + 8, false);
        run(text, output);
        return output.ids();
    }

    @Override
    public Encoding encodeWithOffsets(String text) {
        Output output = new Output(text.length() / 3 + 8, true);
        run(text, output);
        int[] starts = Arrays.copyOf(output.starts, output.size);
        int[] ends = Arrays.copyOf(output.ends, output.size);
        processor.trim(text, output.tokens, starts, ends);
        return new Encoding(output.ids(), List.copyOf(output.tokens), starts, ends);
    }

    @Override
    public int[] encodeWithSpecialTokens(String text) {
        return processor.around(encode(text));
    }

    private void run(String text, Output output) {
        AlignedText given = AlignedText.of(text, output.tracked || parts.needsPlaces());
        added.splitAsGiven(given, (part, from, to, id) -> {
            if (id >= 0) output.added(id, part, from, to);
            else normalized(part, from, to, output);
        });
    }

    private void normalized(AlignedText part, int from, int to, Output output) {
        TextNormalizer normalizer = parts.normalizer();
        AlignedText text = normalizer == null ? part : normalizer.apply(part.slice(from, to));
        int first = normalizer == null ? from : 0;
        int last = normalizer == null ? to : text.length;
        added.splitNormalized(text, first, last, (piece, start, end, id) -> {
            if (id >= 0) output.added(id, piece, start, end);
            else parts.splitter().split(piece, start, end, output::piece);
        });
    }

    /** The tokens of a text, as far as it has been read. */
    private final class Output {
        private final boolean tracked;
        private int[] ids;
        private int size;
        private final List<String> tokens = new ArrayList<>();
        private int[] starts;
        private int[] ends;

        Output(int capacity, boolean tracked) {
            this.tracked = tracked;
            this.ids = new int[capacity];
            this.starts = new int[tracked ? capacity : 0];
            this.ends = starts.clone();
        }

        int[] ids() {
            return Arrays.copyOf(ids, size);
        }

        private void reserve(int more) {
            if (Math.addExact(size, more) <= ids.length) return;
            int capacity = (int) Math.min(Integer.MAX_VALUE - 8, Math.max(size + more, ids.length * 2L));
            ids = Arrays.copyOf(ids, capacity);
            if (!tracked) return;
            starts = Arrays.copyOf(starts, capacity);
            ends = Arrays.copyOf(ends, capacity);
        }

        void added(int id, AlignedText text, int from, int to) {
            reserve(1);
            if (tracked) {
                tokens.add(text.string(from, to));
                starts[size] = text.start(from);
                ends[size] = text.end(to - 1);
            }
            ids[size++] = id;
        }

        void piece(AlignedText text, int from, int to) {
            if (!tracked) {
                parts.model().encode(text.chars, from, to, this::word);
                return;
            }
            Cursor cursor = new Cursor(text, from, to);
            int[] passed = {0};
            parts.model().encode(text.chars, from, to, word -> {
                for (int i = 0; i < word.ids().length; i++) {
                    reserve(word.ids().length);
                    starts[size + i] = text.start(cursor.at(passed[0]));
                    passed[0] += word.bytes()[i];
                    ends[size + i] = text.end(cursor.at(passed[0] - 1));
                    tokens.add(parts.tokens()[word.ids()[i]]);
                }
                word(word);
            });
        }

        private void word(BytePairs.Word word) {
            int count = word.ids().length;
            reserve(count);
            System.arraycopy(word.ids(), 0, ids, size, count);
            size += count;
        }
    }

    /** Finds the characters of a piece that hold bytes of it, going forward. */
    private static final class Cursor {
        private final AlignedText text;
        private final int end;
        private int at;
        /** The number of the first byte of the character. */
        private int passed;

        Cursor(AlignedText text, int from, int end) {
            this.text = text;
            this.at = from;
            this.end = end;
        }

        int at(int number) {
            while (true) {
                int codePoint = text.codePoint(at, end);
                int next = at + Character.charCount(codePoint);
                int length = ByteLetters.utf8Length(codePoint);
                if (number < passed + length || next >= end) return at;
                passed += length;
                at = next;
            }
        }
    }

    private String decoded(boolean skipSpecialTokens, boolean escapes, int... ids) {
        List<String> tokens = new ArrayList<>(ids.length);
        for (int id : ids) {
            String token = known(id);
            if (token != null && !(skipSpecialTokens && added.isSpecial(token))) tokens.add(token);
        }
        return String.join("", parts.decoder().decode(tokens, escapes));
    }

    @Override
    public byte[] decodeBytes(int... ids) {
        return TokenDecoder.bytes(decoded(false, true, ids));
    }

    @Override
    public String decode(int... ids) {
        return decoded(false, false, ids);
    }

    @Override
    public String decode(boolean skipSpecialTokens, int... ids) {
        return decoded(skipSpecialTokens, false, ids);
    }
}
