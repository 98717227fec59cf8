package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * Tokens that are found in a text before it is taken apart: special ones and others. Those that are not to be
 * normalized are found in the text as it was given, the others, themselves normalized, in the normalized text.
 */
final class AddedTokens {
    /**
     * A token.
     *
     * @param singleWord whether it is not found within a word
     * @param lstrip     whether it takes white space before it
     * @param rstrip     whether it takes white space after it
     * @param normalized whether it is found in the normalized text
     */
    record Added(
            String content, boolean singleWord, boolean lstrip, boolean rstrip, boolean normalized, boolean special) {}

    /** Receives the parts of a text: an added token, or what is between them, with -1 instead of an id. */
    interface Parts {
        void accept(AlignedText text, int from, int to, int id);
    }

    private static final int LONGEST = 1000;

    private final Map<String, Integer> vocabulary;
    private final Map<String, Integer> ids = new HashMap<>();
    private final Map<Integer, Added> byId = new HashMap<>();
    private final List<Added> special = new ArrayList<>();
    private final List<Added> others = new ArrayList<>();
    private final Set<String> specialContents = new HashSet<>();
    private Finder asGiven = new Finder();
    private Finder normalized = new Finder();

    /** Begins without tokens. The vocabulary's own tokens keep their ids when they are added. */
    AddedTokens(Map<String, Integer> vocabulary) {
        this.vocabulary = vocabulary;
    }

    /** Returns a copy to which more can be added. */
    AddedTokens copy() {
        AddedTokens copy = new AddedTokens(vocabulary);
        copy.ids.putAll(ids);
        copy.byId.putAll(byId);
        copy.special.addAll(special);
        copy.others.addAll(others);
        copy.specialContents.addAll(specialContents);
        return copy;
    }

    /** Adds tokens, with the ids that Hugging Face's tokenizers give them. {@link #prepare} has to follow. */
    void add(List<Added> tokens) {
        for (Added token : tokens)
            if (token.special && !token.content.isEmpty() && specialContents.add(token.content)) special.add(token);
        int next = vocabulary.size();
        for (int id : byId.keySet()) next = Math.max(next, id + 1);
        Set<Added> existing = new HashSet<>(byId.values());
        for (Added token : tokens) {
            if (token.content.isEmpty() || !existing.add(token)) continue;
            Integer known = ids.getOrDefault(token.content, vocabulary.get(token.content));
            int id = known != null ? known : next++;
            ids.put(token.content, id);
            byId.put(id, token);
            if (!specialContents.contains(token.content)) others.add(token);
        }
    }

    /**
     * Prepares the search.
     *
     * @param place      name of the file, for error messages
     * @param normalizer the normalizer
     * @throws InputException if nothing is left of a normalized token, or one is too long
     */
    void prepare(String place, UnaryOperator<String> normalizer) {
        asGiven = new Finder();
        normalized = new Finder();
        for (List<Added> list : List.of(special, others))
            for (Added token : list) {
                if (token.content.length() > LONGEST)
                    throw new InputException(
                            place + ": the added token '" + token.content.substring(0, 60) + "...' has "
                                    + token.content.length() + " characters: at most " + LONGEST + " are supported.");
                String content = token.normalized ? normalizer.apply(token.content) : token.content;
                if (content.isEmpty())
                    throw new InputException(place + ": nothing is left of the added token '" + token.content
                            + "' when it is normalized: its 'normalized' should be false.");
                int id = ids.getOrDefault(token.content, vocabulary.getOrDefault(token.content, -1));
                (token.normalized ? normalized : asGiven).add(content, id);
            }
    }

    Map<String, Integer> ids() {
        return ids;
    }

    /** Returns the token of each id. */
    Map<Integer, Added> byId() {
        return byId;
    }

    boolean isSpecial(String content) {
        return specialContents.contains(content);
    }

    /** Finds the tokens that are not to be normalized. */
    void splitAsGiven(AlignedText text, Parts parts) {
        asGiven.split(text, 0, text.length, parts);
    }

    /** Finds the tokens that are to be normalized, in a normalized text. */
    void splitNormalized(AlignedText text, int from, int to, Parts parts) {
        normalized.split(text, from, to, parts);
    }

    /** Finds the leftmost of several texts, and the longest of those. */
    private final class Finder {
        private final LongTable children = new LongTable(16);
        private final List<Integer> idOfNode = new ArrayList<>(List.of(-1));
        private final BitSet firsts = new BitSet();

        void add(String content, int id) {
            int node = 0;
            for (int i = 0; i < content.length(); i++) {
                long key = LongTable.pair(node, content.charAt(i));
                int child = children.get(key);
                if (child < 0) {
                    child = idOfNode.size();
                    idOfNode.add(-1);
                    children.put(key, child);
                }
                node = child;
            }
            firsts.set(content.charAt(0));
            if (idOfNode.get(node) < 0) idOfNode.set(node, id);
        }

        void split(AlignedText text, int from, int to, Parts parts) {
            if (from == to) return;
            if (firsts.isEmpty()) {
                parts.accept(text, from, to, -1);
                return;
            }
            int done = from;
            for (int at = from; at < to; at++) {
                if (!firsts.get(text.chars[at])) continue;
                int node = 0;
                int id = -1;
                int stop = at;
                for (int i = at; i < to && (node = children.get(LongTable.pair(node, text.chars[i]))) >= 0; i++)
                    if (idOfNode.get(node) >= 0) {
                        id = idOfNode.get(node);
                        stop = i + 1;
                    }
                if (id < 0) continue;
                done = accept(text, from, to, at, stop, id, done, parts);
                at = stop - 1;
            }
            if (done != to) parts.accept(text, done, to, -1);
        }

        /** Passes on a token that was found and what is before it; returns where the rest begins. */
        private int accept(AlignedText text, int from, int to, int at, int stop, int id, int done, Parts parts) {
            Added token = byId.get(id);
            int start = at;
            int end = stop;
            if (token.singleWord && (isWord(text, from, start, true) || isWord(text, end, to, false))) return done;
            if (token.lstrip) {
                while (start > from && CharacterClasses.isSpace(text.chars[start - 1])) start--;
                start = Math.max(start, done); // an earlier token may have taken the white space
            }
            if (token.rstrip) while (end < to && CharacterClasses.isSpace(text.chars[end])) end++;
            if (done < start) parts.accept(text, done, start, -1);
            if (start < end) parts.accept(text, start, end, id);
            return end;
        }

        /** Returns whether the last, or the first, code point of a part belongs to a word. */
        private static boolean isWord(AlignedText text, int from, int to, boolean last) {
            if (from >= to) return false;
            int at = to - 1;
            if (last
                    && at > from
                    && Character.isLowSurrogate(text.chars[at])
                    && Character.isHighSurrogate(text.chars[at - 1])) at--;
            return CharacterClasses.isWord(text.codePoint(last ? at : from, to));
        }
    }
}
