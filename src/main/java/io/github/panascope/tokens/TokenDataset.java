package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Rows of token ids of equal length, made from documents as TransformerLens's {@code tokenize_and_concatenate} or
 * SAELens makes them. The ids are held on the Java heap, four bytes each. The rows do not depend on the number of
 * threads.
 *
 * <pre>{@code
 * List<String> documents = List.of("Once upon a time there was a tokenizer.", "The end.");
 * TokenDataset dataset = TokenDataset.tokenizeAndConcatenate(
 *         documents::forEach, Tokenizer.gpt2(), ChunkingStrategy.PER_DOCUMENT, 8);
 * System.out.println(dataset + ": " + Tokenizer.gpt2().tokens(dataset.row(0)));
 * try (var _ = TensorScope.open()) {
 *     Tensor batch = dataset.batch(0, dataset.rows()); // int64 [rows, 8]
 *     System.out.println(batch.shape());
 * }
 * }</pre>
 */
public final class TokenDataset {
    /**
     * The number of documents that are joined: {@link #forEachRow} makes rows of this many documents at a time, and
     * drops the tokens that do not fill a row at the end of each group.
     */
    public static final int DOCUMENTS_IN_GROUP = 1000;

    private static final String TOKENIZING = "tokenizing documents";
    /**
     * The longest row: far longer than the context of any model, and short enough for a few rows to fit into memory.
     */
    private static final int MAX_LENGTH = 1 << 24;

    private final int rowLength;
    private int[] tokens = new int[1 << 12];
    private int size;
    private long rowsInAll;
    private long documents;

    private TokenDataset(int rowLength) {
        if (rowLength < 2)
            throw new IllegalArgumentException(
                    "rows should be at least 2 tokens long, for one to predict the next: " + rowLength);
        requireFits(rowLength);
        this.rowLength = rowLength;
    }

    static void requireFits(int rowLength) {
        if (rowLength > MAX_LENGTH)
            throw new IllegalArgumentException(
                    "rows should be at most " + MAX_LENGTH + " tokens long, to fit into memory: " + rowLength);
    }

    /** A source that passes documents to a consumer in order, such as {@code TextDataset::forEach}. */
    @FunctionalInterface
    public interface Documents {
        /**
         * Calls the consumer with each document.
         *
         * @param consumer called with the text of each document, which is not null
         */
        void forEach(Consumer<String> consumer);
    }

    /**
     * Tokenizes documents, joins them and cuts the result into rows that begin with {@code <|endoftext|>}. Reads all
     * documents, a thousand at a time, and keeps all rows.
     *
     * @param documents    the texts
     * @param tokenizer    the tokenizer
     * @param chunking     how documents are joined and cut
     * @param maxLength    tokens in a row, including the {@code <|endoftext|>} at its beginning; at least 2
     * @return the rows
     * @throws InputException if there is no row
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if {@code maxLength} is too small, or larger than 2^24
     */
    public static TokenDataset tokenizeAndConcatenate(
            Documents documents, Tokenizer tokenizer, ChunkingStrategy chunking, int maxLength) {
        return tokenizeAndConcatenate(documents, tokenizer, chunking, maxLength, true, Long.MAX_VALUE);
    }

    /**
     * Tokenizes documents, joins them and cuts the result into rows, of which it keeps the first and counts the others.
     * Suits a corpus that is larger than memory. Reads all documents, a thousand at a time.
     *
     * @param documents    the texts
     * @param tokenizer    the tokenizer
     * @param chunking     how documents are joined and cut
     * @param maxLength    tokens in a row, at least 2
     * @param addBosToken  true to begin each row with {@code <|endoftext|>}, as the {@code prepend_bos} of an SAE says
     * @param keep         number of rows to keep
     * @return the kept rows
     * @throws InputException if there is no row
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if {@code maxLength} is too small, or larger than 2^24
     */
    public static TokenDataset tokenizeAndConcatenate(
            Documents documents,
            Tokenizer tokenizer,
            ChunkingStrategy chunking,
            int maxLength,
            boolean addBosToken,
            long keep) {
        TokenDataset dataset = new TokenDataset(maxLength);
        dataset.documents =
                forEachRow(documents, tokenizer, chunking, maxLength, addBosToken, row -> dataset.add(row, keep));
        if (dataset.rowsInAll == 0)
            throw new InputException(
                    "the dataset is empty: its " + dataset.documents + " documents hold nothing but white space.");
        return dataset;
    }

    /**
     * Tokenizes documents, joins them and passes the resulting rows to a consumer, without keeping them.
     *
     * @param documents    the texts
     * @param tokenizer    the tokenizer
     * @param chunking     how documents are joined and cut
     * @param maxLength    tokens in a row, at least 2 with {@code addBosToken}, otherwise at least 1
     * @param addBosToken  true to begin each row with {@code <|endoftext|>}
     * @param rows         called with each row, in an array that it may keep
     * @return number of documents that were read
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if {@code maxLength} is too small, or larger than 2^24
     */
    public static long forEachRow(
            Documents documents,
            Tokenizer tokenizer,
            ChunkingStrategy chunking,
            int maxLength,
            boolean addBosToken,
            Consumer<int[]> rows) {
        return new TokenizeAndConcatenate(tokenizer, chunking, maxLength, addBosToken, rows)
                .all(consumer -> each(documents::forEach, consumer));
    }

    /**
     * Makes the rows of one group of documents. The documents of a corpus in groups of {@link #DOCUMENTS_IN_GROUP}, of
     * which only the last may be smaller, make the rows of {@link #forEachRow}, group by group; groups can therefore be
     * tokenized on different machines.
     *
     * @param documents    the texts of the group, at most {@link #DOCUMENTS_IN_GROUP}
     * @param tokenizer    the tokenizer
     * @param chunking     how documents are joined and cut
     * @param maxLength    tokens in a row, at least 2 with {@code addBosToken}, otherwise at least 1
     * @param addBosToken  true to begin each row with {@code <|endoftext|>}
     * @return the rows, each of {@code maxLength} ids in an array of its own; none if there are no documents, or if
     *     their joined text is blank
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if there are more documents than a group has, or {@code maxLength} is too small,
     *     or larger than 2^24
     */
    public static List<int[]> rowsOfGroup(
            List<String> documents,
            Tokenizer tokenizer,
            ChunkingStrategy chunking,
            int maxLength,
            boolean addBosToken) {
        if (documents.size() > DOCUMENTS_IN_GROUP)
            throw new IllegalArgumentException("a group has at most " + DOCUMENTS_IN_GROUP + " documents, not "
                    + documents.size() + ": split the corpus into groups of that many, from its first document on");
        List<int[]> rows = new ArrayList<>();
        forEachRow(documents::forEach, tokenizer, chunking, maxLength, addBosToken, rows::add);
        return rows;
    }

    /** Passes documents to a consumer, checking before each whether the thread was interrupted. */
    private static <T> void each(Consumer<Consumer<T>> documents, Consumer<T> consumer) {
        try {
            documents.accept(document -> {
                RunInterruptedException.check(TOKENIZING);
                consumer.accept(Objects.requireNonNull(document, "a document is null: leave it out"));
            });
        } catch (InputException e) {
            RunInterruptedException.check(TOKENIZING, e); // an interruption closes a file that is being read
            throw e;
        }
    }

    /**
     * Makes the first rows that SAELens's ActivationsStore makes of documents: the documents are joined, separated by
     * {@code <|endoftext|>}, and cut where a row is full, so that only the tokens that do not fill the last row are
     * lost. Reads only as many documents as the rows need.
     *
     * @param documents   the texts
     * @param tokenizer   the tokenizer
     * @param contextSize tokens in a row, at least 2
     * @param prependBos  true to begin each row with {@code <|endoftext|>}, unless its tokens already do
     * @param rows        largest number of rows, at least 1
     * @return the rows
     * @throws InputException if the documents do not fill one row
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if {@code rows} or {@code contextSize} is too small, or {@code contextSize} is
     *     larger than 2^24
     */
    public static TokenDataset concatAndBatchSequences(
            Documents documents, Tokenizer tokenizer, int contextSize, boolean prependBos, int rows) {
        if (rows < 1) throw new IllegalArgumentException("rows should be at least 1, not " + rows);
        TokenDataset dataset = new TokenDataset(contextSize);
        SequencePacker batches =
                new SequencePacker(tokenizer.bos(), contextSize, prependBos, row -> dataset.add(row, rows));
        try {
            TokenDataset.<String>each(documents::forEach, document -> {
                dataset.documents++;
                batches.add(tokenizer.encode(document));
                if (dataset.rows() >= rows) throw new StopReading();
            });
        } catch (StopReading e) {
            // the rest of the documents is not needed
        }
        if (dataset.rows() == 0)
            throw new InputException("the dataset is too short: its " + dataset.documents
                    + " documents do not fill one row of " + contextSize + " tokens.");
        return dataset;
    }

    /** Ends the reading of documents. */
    private static final class StopReading extends RuntimeException {
        private static final long serialVersionUID = 1L;

        StopReading() {
            super(null, null, false, false);
        }
    }

    /**
     * Makes rows of documents that are already token ids. Each document becomes one row, cut to {@code rowLength}, as
     * SAELens's ActivationsStore does.
     *
     * @param documents  passes the ids of each document to a consumer, such as {@code TextDataset::forEachTokens}
     * @param vocabulary number of tokens of the model
     * @param rowLength  tokens in a row, at least 2
     * @param keep       number of rows to keep; the others are only counted and checked
     * @return the kept rows
     * @throws InputException if a document is too short or contains an id that is not from 0 to {@code vocabulary - 1}
     * @throws RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if {@code rowLength} is too small, or larger than 2^24
     */
    public static TokenDataset ofTokens(Consumer<Consumer<int[]>> documents, int vocabulary, int rowLength, long keep) {
        TokenDataset dataset = new TokenDataset(rowLength);
        each(documents, ids -> {
            long number = ++dataset.documents;
            if (ids.length < rowLength)
                throw new InputException("row " + number + " of the tokenized dataset has " + ids.length
                        + " tokens, and " + rowLength + " are needed: its context is too short for this SAE.");
            for (int id : ids)
                if (id < 0 || id >= vocabulary)
                    throw new InputException("row " + number + " of the tokenized dataset holds the token id " + id
                            + ", and the model knows 0 to " + (vocabulary - 1) + ": it is of another tokenizer.");
            dataset.add(Arrays.copyOf(ids, rowLength), keep);
        });
        return dataset;
    }

    private void add(int[] row, long keep) {
        if (rowsInAll++ >= keep) return;
        int needed = Math.addExact(size, rowLength);
        if (needed > tokens.length)
            tokens = Arrays.copyOf(tokens, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(needed, tokens.length * 2L)));
        System.arraycopy(row, 0, tokens, size, rowLength);
        size = needed;
    }

    /** {@return the number of rows that the documents make, including those that are not kept} */
    public long rowsInAll() {
        return rowsInAll;
    }

    /** {@return the number of rows that are kept} */
    public int rows() {
        return size / rowLength;
    }

    /** {@return the number of tokens in a row, including an {@code <|endoftext|>} at its beginning} */
    public int rowLength() {
        return rowLength;
    }

    /** {@return the number of documents that were read} */
    public long documents() {
        return documents;
    }

    /**
     * Returns the ids of one row.
     *
     * @param index index of the row, from 0 to {@link #rows} - 1
     * @return the {@link #rowLength} ids, in a new array
     * @throws IndexOutOfBoundsException if there is no such row
     */
    public int[] row(int index) {
        if (index < 0 || index >= rows())
            throw new IndexOutOfBoundsException("row " + index + " is none of the " + rows() + " rows, from 0");
        return Arrays.copyOfRange(tokens, index * rowLength, (index + 1) * rowLength);
    }

    /**
     * Returns consecutive rows as a tensor.
     *
     * @param start index of the first row
     * @param end   index after the last row, at most {@link #rows}
     * @return int64 CPU tensor [end - start, rowLength]; belongs to the innermost open scope
     * @throws IndexOutOfBoundsException if there are no such rows
     */
    public Tensor batch(int start, int end) {
        if (start < 0 || end < start || end > rows())
            throw new IndexOutOfBoundsException(
                    "a batch from row " + start + " to row " + end + " is not within the " + rows() + " rows, from 0");
        long[] ids = new long[(end - start) * rowLength];
        for (int i = 0; i < ids.length; i++) ids[i] = tokens[start * rowLength + i];
        return Tensor.of(ids, Shape.of(end - start, rowLength));
    }

    /** {@return a description with the numbers of rows, tokens and documents} */
    @Override
    public String toString() {
        return "TokenDataset of " + rows() + " rows of " + rowLength + " tokens"
                + (rowsInAll > rows() ? ", of " + rowsInAll + " in all" : "") + ", from " + documents + " documents";
    }
}
